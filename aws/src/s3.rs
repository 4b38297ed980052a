//! S3 objects, read in pieces with constant memory.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use crate::error::FetchError;

/// How often a body that ended early is taken up again where it ended, for one object.
pub const RESUMES_LIMIT: u32 = 4;

/// How long a body may stand still before it is taken up again.
pub const STALL: Duration = Duration::from_secs(5);

/// Opens objects.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
}

/// An object that is being read.
#[derive(Debug)]
pub struct Object {
    client: Client,
    bucket: String,
    key: String,
    /// Version id that is read; `None` in a bucket without versions.
    pub version: Option<String>,
    /// `ETag`, without quotes.
    pub etag: Option<String>,
    /// Bytes of the whole object.
    pub length: u64,
    /// When it was stored, in seconds since 1970.
    pub stored: Option<i64>,
    body: ByteStream,
    read: u64,
    resumes: u32,
}

/// What lies under a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Keys and bytes.
    pub objects: Vec<(String, u64)>,
    /// Whether there are more than were asked for.
    pub cut: bool,
}

impl Objects {
    /// With the client that this configuration makes.
    pub fn new(config: &SdkConfig) -> Self {
        // Stand-ins for S3 on loopback know no bucket subdomains.
        let own = std::env::var_os("AWS_ENDPOINT_URL").or_else(|| std::env::var_os("AWS_ENDPOINT_URL_S3")).is_some();
        let stalls = StalledStreamProtectionConfig::enabled().grace_period(STALL).build();
        let config = aws_sdk_s3::config::Builder::from(config).force_path_style(own).stalled_stream_protection(stalls);
        Self { client: Client::from_conf(config.build()) }
    }

    /// Stores an object, in place of the one that may be there.
    ///
    /// # Errors
    /// What the service answers, after the SDK's own retries.
    pub async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), FetchError> {
        let request = self.client.put_object().bucket(bucket).key(key).content_type(content_type);
        request.body(ByteStream::from(bytes)).send().await.map_err(|error| FetchError::of(&error))?;
        Ok(())
    }

    /// Keys that begin with a prefix, in their order, with the bytes of each object; at most `limit`.
    ///
    /// # Errors
    /// What the service answers, after the SDK's own retries.
    pub async fn list(&self, bucket: &str, prefix: &str, limit: usize) -> Result<Listing, FetchError> {
        let mut listing = Listing::default();
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| FetchError::of(&error))?;
            for object in page.contents.unwrap_or_default() {
                if listing.objects.len() >= limit {
                    listing.cut = true;
                    return Ok(listing);
                }
                let size = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
                listing.objects.push((object.key.unwrap_or_default(), size));
            }
        }
        Ok(listing)
    }

    /// Begins to read an object; of this version, if one is named.
    ///
    /// # Errors
    /// What the service answers, after the SDK's own retries.
    pub async fn open(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Object, FetchError> {
        let request = self.client.get_object().bucket(bucket).key(key).set_version_id(version.map(str::to_owned));
        let answer = request.send().await.map_err(|error| FetchError::of(&error))?;
        Ok(Object {
            client: self.client.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            // S3 names the version of objects stored before versioning was on "null".
            version: answer.version_id.or_else(|| version.map(str::to_owned)),
            etag: answer.e_tag.as_deref().map(unquoted),
            length: answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default(),
            stored: answer.last_modified.map(|at| at.secs()),
            body: answer.body,
            read: 0,
            resumes: 0,
        })
    }
}

impl Object {
    /// The next piece; `None` when every promised byte was read. A body that ends early or stands still is taken up again
    /// where it was, as long as the object is still the same.
    ///
    /// # Errors
    /// [`FetchError::Truncated`] if that happens again and again, and what the service answers.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            match self.body.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.read = self.read.saturating_add(piece.len() as u64);
                    return Ok(Some(piece));
                }
                None if self.read >= self.length => return Ok(None),
                None | Some(Err(_)) => self.resume().await?,
            }
        }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.read
    }

    async fn resume(&mut self) -> Result<(), FetchError> {
        // Every byte is there: what failed is the check of the whole.
        if self.resumes >= RESUMES_LIMIT || self.read >= self.length {
            return Err(FetchError::Truncated { at: self.read, length: self.length });
        }
        self.resumes += 1;
        let request = self.client.get_object().bucket(&self.bucket).key(&self.key);
        let request = request.set_version_id(self.version.clone()).range(format!("bytes={}-", self.read));
        let request = request.set_if_match(self.etag.as_ref().map(|etag| format!("\"{etag}\"")));
        let answer = request.send().await.map_err(|error| FetchError::of(&error))?;
        let range = format!("bytes {}-", self.read);
        if !answer.content_range.as_deref().is_some_and(|given| given.starts_with(&range)) {
            return Err(FetchError::Changed);
        }
        self.body = answer.body;
        Ok(())
    }
}

fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}
