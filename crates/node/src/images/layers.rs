//! The layers of this node, and how one gets here: download, verify, decompress and unpack in one go.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::disk::{Disk, LayerMark, TempLayer};
use super::manifest::{Compression, LayerDescriptor};
use super::registry::{Origin, RegistryClient, RegistryError};
use super::retry::Backoff;
use super::unpack::{UnpackError, UnpackLimits, unpack};
use super::{Digest, Limits, PullError};

/// Pieces of a download that wait to be unpacked. A piece is what one read of the socket gave, some 16 KiB.
const PIECES_IN_FLIGHT: usize = 32;

const DECOMPRESSION_BUFFER_BYTES: usize = 64 * 1024;

/// What is on disk, with an index in memory.
pub(super) struct Layers {
    pub disk: Disk,
    known: RwLock<HashMap<Digest, Arc<LayerMark>>>,
}

impl Layers {
    pub fn open(disk: Disk) -> io::Result<Self> {
        let known = disk
            .load_layers()?
            .into_iter()
            .map(|(digest, mark)| (digest, Arc::new(mark)))
            .collect();
        Ok(Self {
            disk,
            known: RwLock::new(known),
        })
    }

    pub fn get(&self, diff_id: &Digest) -> Option<Arc<LayerMark>> {
        self.known.read().get(diff_id).cloned()
    }

    pub fn all(&self) -> Vec<(Digest, u64)> {
        self.known
            .read()
            .iter()
            .map(|(digest, mark)| (digest.clone(), mark.bytes))
            .collect()
    }

    /// Puts a layer in its place, unless the pull it is for was dropped: whoever dropped it has cleaned up already.
    fn install(
        &self,
        temp: TempLayer,
        diff_id: &Digest,
        mut mark: LayerMark,
        dropped: &CancellationToken,
    ) -> io::Result<()> {
        // Under the lock, so that a layer is never in its place without being known, or the other way round.
        let mut known = self.known.write();
        if dropped.is_cancelled() {
            return Err(io::Error::other("the pull was dropped"));
        }
        self.disk.install_layer(temp, diff_id, &mut mark)?;
        known.insert(diff_id.clone(), Arc::new(mark));
        Ok(())
    }

    /// Sees to it that those of the layers that are still here survive a power failure.
    pub fn sync(&self, diff_ids: &[Digest]) -> io::Result<()> {
        let unsynced = |diff_id: &Digest| {
            self.get(diff_id)
                .filter(|mark| mark.unsynced_since_boot.is_some())
        };
        let fresh: Vec<_> = diff_ids
            .iter()
            .filter_map(|diff_id| Some((diff_id, unsynced(diff_id)?)))
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        self.disk.sync_layers()?;
        for (diff_id, written) in fresh {
            let mut known = self.known.write();
            // One that was taken away meanwhile, and perhaps fetched again, is not what was waited for.
            if let Some(mark) = known
                .get_mut(diff_id)
                .filter(|mark| Arc::ptr_eq(mark, &written))
            {
                let synced = LayerMark {
                    unsynced_since_boot: None,
                    ..(*written).clone()
                };
                self.disk.replace_mark(diff_id, &synced)?;
                *mark = Arc::new(synced);
            }
        }
        Ok(())
    }

    /// Takes a layer away; what is left to do happens when the answer is dropped.
    pub fn take_away(&self, diff_id: &Digest) -> io::Result<TempLayer> {
        let mut known = self.known.write();
        let temp = self.disk.take_away_layer(diff_id)?;
        known.remove(diff_id);
        Ok(temp)
    }
}

/// One layer to fetch.
pub(super) struct LayerJob {
    pub descriptor: LayerDescriptor,
    pub diff_id: Digest,
    pub limits: UnpackLimits,
}

/// Downloads and unpacks a layer. `guard` is dropped when the last thread that works on it is done, which may be after
/// this future was dropped.
pub(super) async fn fetch(
    layers: Arc<Layers>,
    registry: Arc<RegistryClient>,
    origin: Origin,
    limits: Arc<Limits>,
    job: LayerJob,
    guard: impl Send + 'static,
) -> Result<(), PullError> {
    let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let descriptor = job.descriptor.clone();
    let token = CancellationToken::new();
    let _dropped_with_this_future = token.clone().drop_guard();
    let unpacking = tokio::task::spawn_blocking(move || {
        let result = unpack_and_install(&layers, receiver, job, &token);
        drop(layers);
        // Whoever waits for this finds nobody at work in the store any more.
        drop(guard);
        result
    });
    let downloading = download(&registry, &origin, &descriptor, &limits, sender);
    let (downloaded, unpacked) = tokio::join!(downloading, unpacking);
    let unpacked = unpacked.unwrap_or_else(|panic| Err(io::Error::other(panic).into()));
    match (downloaded, unpacked) {
        // The unpacker stopped listening, or both went well: it has the last word.
        (Ok(()), unpacked) => unpacked,
        (Err(error), _) => Err(error),
    }
}

/// Sends the pieces of a blob, going on where a connection broke. Ends early if nobody listens any more.
async fn download(
    registry: &RegistryClient,
    origin: &Origin,
    descriptor: &LayerDescriptor,
    limits: &Limits,
    pieces: mpsc::Sender<Bytes>,
) -> Result<(), PullError> {
    let mut backoff = Backoff::new(limits, limits.layer_retries);
    let mut done = 0;
    loop {
        let before = done;
        let Err(cause) = download_from(registry, origin, descriptor, &mut done, &pieces).await
        else {
            return Ok(());
        };
        if done > before {
            backoff.progress();
        }
        if !backoff.another(&cause).await {
            return Err(PullError::Fetch {
                retries: backoff.retries(),
                cause: Arc::new(cause),
            });
        }
    }
}

async fn download_from(
    registry: &RegistryClient,
    origin: &Origin,
    descriptor: &LayerDescriptor,
    done: &mut u64,
    pieces: &mpsc::Sender<Bytes>,
) -> Result<(), RegistryError> {
    let mut body = registry.blob(origin, &descriptor.digest, *done).await?;
    // A registry without ranges starts from the beginning; what is known already is passed over.
    let mut skip = *done - body.offset;
    while let Some(mut piece) = body.chunk().await? {
        let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        piece.advance(known);
        skip -= known as u64;
        *done += piece.len() as u64;
        if *done > descriptor.size {
            return Err(RegistryError::SizeMismatch {
                want: descriptor.size,
                got: *done,
            });
        }
        if !piece.is_empty() && pieces.send(piece).await.is_err() {
            return Ok(());
        }
    }
    if *done == descriptor.size {
        return Ok(());
    }
    Err(RegistryError::Broken {
        host: body.host,
        cause: "unexpected EOF".to_owned(),
    })
}

fn unpack_and_install(
    layers: &Layers,
    pieces: mpsc::Receiver<Bytes>,
    job: LayerJob,
    dropped: &CancellationToken,
) -> Result<(), PullError> {
    let temp = layers.disk.temp_layer()?;
    let mark = unpack_blob(pieces, &job, &temp).map_err(|cause| PullError::Extract {
        layer: job.descriptor.digest.clone(),
        cause: Arc::new(cause),
    })?;
    Ok(layers.install(temp, &job.diff_id, mark, dropped)?)
}

fn unpack_blob(
    pieces: mpsc::Receiver<Bytes>,
    job: &LayerJob,
    temp: &TempLayer,
) -> Result<LayerMark, UnpackError> {
    let mut blob = BlobReader {
        pieces,
        piece: Bytes::new(),
        hasher: Sha256::new(),
        bytes: 0,
    };
    let buffered = BufReader::with_capacity(DECOMPRESSION_BUFFER_BYTES, &mut blob);
    let unpacked = match job.descriptor.compression {
        Compression::None => unpack(buffered, &temp.root(), &job.limits),
        Compression::Gzip => unpack(MultiGzDecoder::new(buffered), &temp.root(), &job.limits),
        Compression::Zstd => unpack(
            zstd::Decoder::with_buffer(buffered)?,
            &temp.root(),
            &job.limits,
        ),
    }?;
    // A decoder stops at the end of its format, and the digest is over what comes after as well.
    io::copy(&mut blob, &mut io::sink())?;
    let (want, got) = (job.descriptor.size, blob.bytes);
    if got != want {
        return Err(UnpackError::Size { want, got });
    }
    let (want, got) = (&job.descriptor.digest, Digest::finish(blob.hasher));
    if got != *want {
        return Err(UnpackError::Digest {
            want: want.clone(),
            got,
        });
    }
    if unpacked.diff_id != job.diff_id {
        return Err(UnpackError::DiffId {
            want: job.diff_id.clone(),
            got: unpacked.diff_id,
        });
    }
    Ok(LayerMark {
        bytes: unpacked.bytes,
        implied_dirs: unpacked.implied_dirs,
        unsynced_since_boot: None,
    })
}

/// The downloaded pieces as a stream that is hashed.
struct BlobReader {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    hasher: Sha256,
    bytes: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            // A download that failed looks like an end here; the length tells it apart.
            self.piece = self.pieces.blocking_recv().unwrap_or_default();
            self.hasher.update(&self.piece);
            self.bytes += self.piece.len() as u64;
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
