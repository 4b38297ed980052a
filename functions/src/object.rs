//! S3 objects as the handlers see them: the service, or a twin in memory.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use warden_aws::FetchError;
use warden_aws::s3;
use warden_session::SessionId;

use crate::clients::Clients;
use crate::dedup::hex;
use crate::source::ObjectRef;

/// The session whose record lies under a key, by the name that the agent gives it: `PREFIX/SESSION.log`.
pub fn named_session(key: &str) -> Option<SessionId> {
    let name = key.rsplit('/').next().unwrap_or_default();
    SessionId::parse(name.strip_suffix(".log")?)
}

/// An answer that is still to come.
pub type Fetching<'a, T> = Pin<Box<dyn Future<Output = Result<T, FetchError>> + Send + 'a>>;

/// Where objects are read.
pub trait Store: std::fmt::Debug + Send + Sync {
    /// Begins to read an object, of the version that the reference names.
    fn open<'a>(&'a self, object: &'a ObjectRef) -> Fetching<'a, Opened>;
}

/// Bytes of an object, in pieces.
pub trait Body: Send {
    /// The next piece; `None` when every byte was read.
    fn next(&mut self) -> Fetching<'_, Option<Vec<u8>>>;
}

/// An object that is being read.
pub struct Opened {
    /// Its bytes.
    pub body: Box<dyn Body>,
    /// Version that is read.
    pub version: Option<String>,
    /// `ETag`, without quotes.
    pub etag: Option<String>,
    /// Bytes of the whole object.
    pub length: u64,
    /// When it was stored.
    pub stored: Option<Timestamp>,
}

impl Opened {
    /// The next piece of its bytes; `None` when every byte was read.
    ///
    /// # Errors
    /// [`FetchError::Timeout`] if none comes in this time, and what the service answers.
    pub async fn next(&mut self, time: Duration) -> Result<Option<Vec<u8>>, FetchError> {
        tokio::time::timeout(time, self.body.next()).await.unwrap_or(Err(FetchError::Timeout))
    }
}

/// S3.
#[derive(Debug)]
pub struct S3(pub Arc<Clients>);

impl Store for S3 {
    fn open<'a>(&'a self, object: &'a ObjectRef) -> Fetching<'a, Opened> {
        Box::pin(async move {
            let objects = self.0.objects().await;
            let opened = objects.open(&object.bucket, &object.key, object.version.as_deref()).await?;
            Ok(Opened {
                version: opened.version.clone().or_else(|| object.version.clone()),
                etag: opened.etag.clone(),
                length: opened.length,
                stored: opened.stored.and_then(|seconds| Timestamp::from_second(seconds).ok()),
                body: Box::new(opened),
            })
        })
    }
}

impl Body for s3::Object {
    fn next(&mut self) -> Fetching<'_, Option<Vec<u8>>> {
        Box::pin(async move { Ok(s3::Object::next(self).await?.map(|piece| piece.to_vec())) })
    }
}

/// Objects in memory, for tests: reading fails when it is told to.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    objects: BTreeMap<(String, String, Option<String>), Vec<u8>>,
    failures: BTreeMap<String, (usize, FetchError)>,
}

impl MemoryStore {
    /// Stores an object.
    pub fn put(&self, bucket: &str, key: &str, version: Option<&str>, bytes: &[u8]) {
        let place = (bucket.to_owned(), key.to_owned(), version.map(str::to_owned));
        self.state().objects.insert(place, bytes.to_vec());
    }

    /// Makes reading this key fail after so many bytes.
    pub fn fail(&self, key: &str, after: usize, error: FetchError) {
        self.state().failures.insert(key.to_owned(), (after, error));
    }

    fn state(&self) -> MutexGuard<'_, Objects> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn open<'a>(&'a self, object: &'a ObjectRef) -> Fetching<'a, Opened> {
        Box::pin(async move {
            let state = self.state();
            let place = (object.bucket.clone(), object.key.clone(), object.version.clone());
            let bytes = state.objects.get(&place).cloned().ok_or(FetchError::Missing)?;
            let failure = state.failures.get(&object.key).cloned();
            Ok(Opened {
                version: object.version.clone(),
                etag: Some(hex(&Sha256::digest(&bytes))),
                length: bytes.len() as u64,
                stored: object.at,
                body: Box::new(MemoryBody { bytes, read: 0, failure }),
            })
        })
    }
}

struct MemoryBody {
    bytes: Vec<u8>,
    read: usize,
    failure: Option<(usize, FetchError)>,
}

/// Bytes of one piece of an object in memory.
const PIECE: usize = 16 * 1024;

impl Body for MemoryBody {
    fn next(&mut self) -> Fetching<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let end = match &self.failure {
                Some((after, error)) if self.read >= *after => return Err(error.clone()),
                Some((after, _)) => self.bytes.len().min(*after),
                None => self.bytes.len(),
            };
            let piece = self.bytes.get(self.read..end.min(self.read + PIECE)).filter(|piece| !piece.is_empty());
            self.read += piece.map_or(0, <[u8]>::len);
            match (piece, &self.failure) {
                (None, Some((_, error))) => Err(error.clone()),
                (piece, _) => Ok(piece.map(<[u8]>::to_vec)),
            }
        })
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("version", &self.version).field("length", &self.length).finish_non_exhaustive()
    }
}
