//! Paths that lie in AWS: `s3://BUCKET/KEY-OR-PREFIX`, `cloudwatch://LOG-GROUP/STREAM-PREFIX`.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Runtime;
use warden_aws::FetchError;
use warden_aws::kms::DataKeys;
use warden_aws::logs::LogEvents;
use warden_aws::s3::Objects;

/// Most objects or streams that one path may stand for: more are work for the backfill function.
const MAX_ITEMS: usize = 100_000;

/// What fetches.
#[derive(Debug)]
pub(crate) struct Remote {
    runtime: Runtime,
    objects: Objects,
    logs: LogEvents,
    keys: DataKeys,
}

/// One thing to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// An S3 object.
    Object { bucket: String, key: String },
    /// A log stream.
    Stream { group: String, stream: String },
}

/// What a path stands for.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The things, each with its path as it is shown.
    pub(crate) items: Vec<(String, Item)>,
    /// Whether the path names one thing, which has to be of a kind that `warden` reads.
    pub(crate) is_one: bool,
    /// Whether there are more than [`MAX_ITEMS`].
    pub(crate) cut: bool,
}

/// A path of AWS, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uri<'p> {
    /// Bucket, and key or prefix.
    S3(&'p str, &'p str),
    /// Log group, and the beginning of its streams' names.
    CloudWatch(&'p str, &'p str),
}

impl<'p> Uri<'p> {
    /// Takes a path apart. A log group's name may begin with `/` and hold more of them, a stream's name of a session holds
    /// none: the last `/` divides them.
    pub(crate) fn parse(path: &'p str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            return Some(Self::S3(bucket, key));
        }
        let rest = path.strip_prefix("cloudwatch://")?;
        let (group, stream) = rest.rsplit_once('/').filter(|(group, _)| !group.is_empty()).unwrap_or((rest, ""));
        Some(Self::CloudWatch(group, stream))
    }
}

impl Remote {
    /// With the region and the credentials that the environment, the shared files and the profile give.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn connect() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let config = runtime.block_on(warden_aws::config());
        Ok(Self {
            objects: Objects::new(&config),
            logs: LogEvents::new(&config),
            keys: DataKeys::new(&config),
            runtime,
        })
    }

    /// The plaintext of a session's data key.
    ///
    /// # Errors
    /// What KMS says.
    pub(crate) fn decrypt(&self, key: Vec<u8>, context: &[(&str, &str)]) -> io::Result<Vec<u8>> {
        self.runtime
            .block_on(self.keys.decrypt(key, context))
            .map_err(|error| io::Error::other(format!("KMS: {error}")))
    }

    /// What a path stands for.
    ///
    /// # Errors
    /// What the service says.
    pub(crate) fn list(&self, uri: Uri<'_>) -> io::Result<Listed> {
        match uri {
            Uri::S3(bucket, prefix) => self.objects_under(bucket, prefix),
            Uri::CloudWatch(group, prefix) => self.streams_under(group, prefix),
        }
        .map_err(failed)
    }

    fn objects_under(&self, bucket: &str, prefix: &str) -> Result<Listed, FetchError> {
        let listing = self.runtime.block_on(self.objects.list(bucket, prefix, MAX_ITEMS))?;
        let is_one = listing.objects.iter().any(|(key, _)| key == prefix);
        let keys = listing.objects.into_iter().map(|(key, _)| key);
        let keys = keys.filter(|key| if is_one { key == prefix } else { !key.ends_with('/') });
        let item = |key: String| (format!("s3://{bucket}/{key}"), Item::Object { bucket: bucket.to_owned(), key });
        Ok(Listed { items: keys.map(item).collect(), is_one, cut: listing.cut })
    }

    fn streams_under(&self, group: &str, prefix: &str) -> Result<Listed, FetchError> {
        let (names, cut) = self.runtime.block_on(self.logs.streams(group, prefix, MAX_ITEMS))?;
        let is_one = names.iter().any(|name| name == prefix);
        let names = names.into_iter().filter(|name| !is_one || name == prefix);
        let item = |stream: String| {
            (format!("cloudwatch://{group}/{stream}"), Item::Stream { group: group.to_owned(), stream })
        };
        Ok(Listed { items: names.map(item).collect(), is_one, cut })
    }

    /// Fetches into an unnamed file, and says whether that is all of it: nothing is fetched beyond `limit` bytes.
    ///
    /// # Errors
    /// What the service or the file system says.
    pub(crate) fn fetch(&self, item: &Item, limit: Option<u64>) -> io::Result<(File, bool)> {
        let mut file = tempfile::tempfile()?;
        let whole = match item {
            Item::Object { bucket, key } => self.runtime.block_on(self.object(bucket, key, limit, &mut file))?,
            Item::Stream { group, stream } => self.runtime.block_on(self.stream(group, stream, limit, &mut file))?,
        };
        file.rewind()?;
        Ok((file, whole))
    }

    async fn object(&self, bucket: &str, key: &str, limit: Option<u64>, file: &mut File) -> io::Result<bool> {
        let mut object = self.objects.open(bucket, key, None).await.map_err(failed)?;
        while let Some(piece) = object.next().await.map_err(failed)? {
            file.write_all(&piece)?;
            if limit.is_some_and(|limit| object.position() >= limit) {
                return Ok(object.position() >= object.length);
            }
        }
        Ok(true)
    }

    /// Writes log events as JSON Lines, which name their group and stream.
    async fn stream(&self, group: &str, stream: &str, limit: Option<u64>, file: &mut File) -> io::Result<bool> {
        let (mut token, mut written) = (None, 0_u64);
        loop {
            let (events, next) = self.logs.page(group, stream, token).await.map_err(failed)?;
            for event in events {
                let line = json!({
                    "timestamp": event.timestamp, "message": event.message, "logGroupName": group, "logStreamName": stream,
                });
                let line = format!("{line}\n");
                written += line.len() as u64;
                file.write_all(line.as_bytes())?;
            }
            token = next;
            if token.is_none() {
                return Ok(true);
            }
            if limit.is_some_and(|limit| written >= limit) {
                return Ok(false);
            }
        }
    }
}

/// Connects when a path first needs it.
#[derive(Debug, Default)]
pub(crate) struct Connection(Option<Arc<Remote>>);

impl Connection {
    /// The connection.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn open(&mut self) -> io::Result<Arc<Remote>> {
        if let Some(remote) = &self.0 {
            return Ok(remote.clone());
        }
        let remote = Arc::new(Remote::connect()?);
        self.0 = Some(remote.clone());
        Ok(remote)
    }
}

fn failed(error: FetchError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::Uri;

    #[test]
    fn paths_are_taken_apart() {
        let rows = [
            ("s3://bucket/a/b.log", Some(Uri::S3("bucket", "a/b.log"))),
            ("s3://bucket", Some(Uri::S3("bucket", ""))),
            ("cloudwatch:///aws/ssm/sessions/alice-0", Some(Uri::CloudWatch("/aws/ssm/sessions", "alice-0"))),
            ("cloudwatch://sessions/", Some(Uri::CloudWatch("sessions", ""))),
            ("cloudwatch://sessions", Some(Uri::CloudWatch("sessions", ""))),
            ("cloudwatch:///sessions", Some(Uri::CloudWatch("/sessions", ""))),
            ("examples/s3", None),
        ];
        for (path, wanted) in rows {
            assert_eq!(Uri::parse(path), wanted, "{path}");
        }
    }
}
