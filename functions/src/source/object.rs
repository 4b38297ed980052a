//! S3 objects: S3's own notifications, EventBridge's, CloudTrail's.

use aws_lambda_events::event::s3::S3EventRecord;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ObjectRef, SourceError, Work};

/// A record of an S3 notification. Its key is URL-encoded, which `aws_lambda_events` does not undo.
pub(super) fn notification(record: &RawValue) -> Result<Work, SourceError> {
    let record: S3EventRecord =
        serde_json::from_str(record.get()).map_err(|_| SourceError::Malformed("an S3 notification"))?;
    if !record.event_name.as_deref().is_some_and(|name| name.trim_start_matches("s3:").starts_with("ObjectCreated")) {
        return Ok(Work::Nothing("S3 notification of something else than a new object"));
    }
    let (Some(bucket), Some(key)) = (record.s3.bucket.name, record.s3.object.key) else {
        return Err(SourceError::Malformed("an S3 notification"));
    };
    let object = record.s3.object.version_id;
    Ok(created(ObjectRef {
        bucket,
        key: decoded(&key),
        version: object.filter(|version| !version.is_empty()),
        size: record.s3.object.size.and_then(|size| u64::try_from(size).ok()),
        etag: record.s3.object.e_tag,
        uploader: record.principal_id.principal_id,
        at: Timestamp::from_millisecond(record.event_time.timestamp_millis()).ok(),
    }))
}

/// EventBridge's `Object Created`. Its key is not encoded, and its requester is an account or a service.
#[derive(Deserialize)]
pub(super) struct Created {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    size: Option<u64>,
    etag: Option<String>,
    #[serde(rename = "version-id")]
    version: Option<String>,
}

impl Created {
    pub(super) fn work(self, at: Option<Timestamp>) -> Work {
        created(ObjectRef {
            bucket: self.bucket.name,
            key: self.object.key,
            version: self.object.version.filter(|version| !version.is_empty()),
            size: self.object.size,
            etag: self.object.etag,
            uploader: None,
            at,
        })
    }
}

/// CloudTrail's own notification of the files that it stored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TrailFiles {
    s3_bucket: String,
    s3_object_key: Vec<String>,
}

impl TrailFiles {
    pub(super) fn works(self) -> Vec<Work> {
        let bucket = self.s3_bucket;
        let object = |key| ObjectRef { bucket: bucket.clone(), key, ..ObjectRef::default() };
        self.s3_object_key.into_iter().map(|key| created(object(key))).collect()
    }
}

fn created(object: ObjectRef) -> Work {
    if object.key.ends_with('/') {
        return Work::Nothing("folder marker");
    }
    Work::Object(object)
}

/// Undoes form encoding: `+` is a blank, `%XX` a byte. What is no escape stays.
pub(crate) fn decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        let escape = behind
            .get(..2)
            .filter(|hex| first == b'%' && hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => bytes.push(if first == b'+' { b' ' } else { first }),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn keys_are_decoded_once() {
        let rows = [
            ("a%40b.log", "a@b.log"),
            ("a+b.log", "a b.log"),
            ("a%2Bb.log", "a+b.log"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%2541", "%41"),
            ("caf%C3%A9", "café"),
            ("%+1x", "% 1x"),
        ];
        for (key, wanted) in rows {
            assert_eq!(decoded(key), wanted, "{key}");
        }
    }
}
