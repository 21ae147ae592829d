use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;

use super::super::BLOCK_BYTES;
use super::*;
use crate::base::jitter::Jitter;

const TAG: FileTag = FileTag(1);
const BLOCK: u64 = BLOCK_BYTES;

#[derive(Clone, Debug, PartialEq, Eq)]
enum TestError {
    Broken(BrokenFetch),
    Source(u64),
}

impl From<BrokenFetch> for TestError {
    fn from(broken: BrokenFetch) -> Self {
        Self::Broken(broken)
    }
}

#[derive(Clone, Copy)]
enum Behaviour {
    Serves,
    Fails,
    AnswersShort,
    AnswersLong,
    Panics,
}

/// A file whose byte at `i` is a function of its seed and `i`.
struct TestSource {
    seed: u64,
    behaviour: Behaviour,
    /// Each fetch takes one permit for good.
    gate: Semaphore,
    fetches: Mutex<Vec<ByteRange>>,
    failures: AtomicU64,
}

impl TestSource {
    fn with(behaviour: Behaviour, permits: usize) -> Arc<Self> {
        Arc::new(Self {
            seed: 7,
            behaviour,
            gate: Semaphore::new(permits),
            fetches: Mutex::new(Vec::new()),
            failures: AtomicU64::new(0),
        })
    }

    fn open() -> Arc<Self> {
        Self::with(Behaviour::Serves, 1 << 20)
    }

    fn content(seed: u64, range: ByteRange) -> Bytes {
        let byte = |i: u64| ((i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        (range.start()..range.end()).map(byte).collect()
    }

    fn expected(&self, range: ByteRange) -> Bytes {
        Self::content(self.seed, range)
    }

    fn fetches(&self) -> usize {
        self.fetches.lock().unwrap().len()
    }
}

impl BlockSource for TestSource {
    type Error = TestError;

    fn fetch(&self, range: ByteRange) -> BoxFuture<'_, Result<Bytes, TestError>> {
        async move {
            self.fetches.lock().unwrap().push(range);
            self.gate.acquire().await.unwrap().forget();
            let content = self.expected(range);
            match self.behaviour {
                Behaviour::Serves => Ok(content),
                Behaviour::Fails => {
                    let failure = self.failures.fetch_add(1, Ordering::Relaxed);
                    Err(TestError::Source(failure))
                }
                Behaviour::AnswersShort => Ok(content.slice(1..)),
                Behaviour::AnswersLong => Ok([&content[..], b"x"].concat().into()),
                Behaviour::Panics => panic!("this source always fails its task"),
            }
        }
        .boxed()
    }
}

fn as_source(source: &Arc<TestSource>) -> Arc<dyn BlockSource<Error = TestError>> {
    Arc::clone(source) as Arc<dyn BlockSource<Error = TestError>>
}

fn bytes(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start, end)
}

/// Lets other tasks run until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("the condition comes to hold within 20 s");
}

#[tokio::test]
async fn a_read_is_served_once_from_the_source_and_then_from_memory_without_a_copy() {
    let cache = BlockCache::new(64 << 20);
    let source = TestSource::open();
    let len = 3 * BLOCK + 100;
    let range = bytes(BLOCK + 5, 3 * BLOCK + 7);
    let read = || cache.read(TAG, len, range, as_source(&source));
    assert_eq!(cache.try_read(TAG, len, range), None);
    let first = read().await.unwrap();
    assert_eq!(first, source.expected(range));
    let second = read()
        .now_or_never()
        .expect("memory answers at once")
        .unwrap();
    assert_eq!(
        second.as_ptr(),
        first.as_ptr(),
        "both are slices of one buffer"
    );
    assert_eq!(cache.try_read(TAG, len, range), Some(first));
    assert_eq!(*source.fetches.lock().unwrap(), [bytes(BLOCK, len)]);
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (6, 3));
    assert_eq!(stats.fetched_bytes, 2 * BLOCK + 100);
}

#[tokio::test]
async fn reads_end_with_the_file() {
    let cache = BlockCache::new(1 << 20);
    let source = TestSource::open();
    let read = |range| cache.read(TAG, 10, range, as_source(&source));
    assert_eq!(
        read(bytes(8, 50)).await.unwrap(),
        source.expected(bytes(8, 10))
    );
    assert!(read(bytes(10, 50)).await.unwrap().is_empty());
    assert!(read(bytes(3, 3)).await.unwrap().is_empty());
    assert_eq!(cache.try_read(TAG, 10, bytes(10, 11)), Some(Bytes::new()));
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn readers_of_one_block_share_one_fetch() {
    let cache = BlockCache::new(64 << 20);
    let source = TestSource::with(Behaviour::Serves, 0);
    let readers: Vec<_> = (0..50)
        .map(|i| {
            let (cache, source) = (cache.clone(), Arc::clone(&source));
            tokio::spawn(async move {
                let range = bytes(i, i + 1000);
                let read = cache.read(TAG, BLOCK, range, as_source(&source)).await;
                assert_eq!(read.unwrap(), source.expected(range));
            })
        })
        .collect();
    until(|| cache.stats().misses == 50).await;
    source.gate.add_permits(1);
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn an_error_reaches_all_who_wait_and_is_not_kept() {
    let cache = BlockCache::new(64 << 20);
    let failing = TestSource::with(Behaviour::Fails, 0);
    let read = |source: &Arc<TestSource>| cache.read(TAG, BLOCK, bytes(0, 9), as_source(source));
    let (first, second, ()) = tokio::join!(read(&failing), read(&failing), async {
        until(|| cache.stats().misses == 2).await;
        failing.gate.add_permits(1);
    });
    assert_eq!(first, Err(TestError::Source(0)));
    assert_eq!(second, Err(TestError::Source(0)));
    let working = TestSource::open();
    assert_eq!(read(&working).await.unwrap(), working.expected(bytes(0, 9)));
    assert_eq!((failing.fetches(), working.fetches()), (1, 1));
}

#[tokio::test]
async fn an_answer_of_the_wrong_length_is_an_error() {
    let cache = BlockCache::new(64 << 20);
    for (behaviour, got) in [(Behaviour::AnswersShort, 19), (Behaviour::AnswersLong, 21)] {
        let source = TestSource::with(behaviour, 1);
        let read = cache.read(TAG, 20, bytes(0, 9), as_source(&source)).await;
        let range = bytes(0, 20);
        assert_eq!(read, Err(BrokenFetch::WrongLength { range, got }.into()));
    }
    assert_eq!(cache.stats().bytes, 0);
    let broken = BrokenFetch::WrongLength {
        range: bytes(0, 20),
        got: 19,
    };
    assert_eq!(
        broken.to_string(),
        "the source answered a request for bytes 0..20 with 19 bytes instead of 20; nothing of it was used"
    );
}

#[tokio::test]
async fn a_source_that_panics_fails_the_read_and_frees_its_blocks() {
    let cache = BlockCache::new(64 << 20);
    let panicking = TestSource::with(Behaviour::Panics, 1);
    let read = cache
        .read(TAG, 20, bytes(0, 9), as_source(&panicking))
        .await;
    let range = bytes(0, 20);
    assert_eq!(read, Err(BrokenFetch::Abandoned { range }.into()));
    let working = TestSource::open();
    let read = cache.read(TAG, 20, bytes(0, 9), as_source(&working)).await;
    assert_eq!(read.unwrap(), working.expected(bytes(0, 9)));
}

#[tokio::test]
async fn a_reader_that_gives_up_takes_nothing_from_others() {
    let cache = BlockCache::new(64 << 20);
    let source = TestSource::with(Behaviour::Serves, 0);
    let mut quitter = Box::pin(cache.read(TAG, BLOCK, bytes(0, 9), as_source(&source)));
    assert!((&mut quitter).now_or_never().is_none());
    drop(quitter);
    let (read, ()) = tokio::join!(
        cache.read(TAG, BLOCK, bytes(5, 20), as_source(&source)),
        async {
            until(|| cache.stats().misses == 2).await;
            source.gate.add_permits(1);
        }
    );
    assert_eq!(read.unwrap(), source.expected(bytes(5, 20)));
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn long_ranges_are_fetched_in_parallel() {
    let cache = BlockCache::new(256 << 20);
    let source = TestSource::with(Behaviour::Serves, 0);
    let len = 20 << 20;
    let (read, ()) = tokio::join!(
        cache.read(TAG, len, bytes(1 << 20, len), as_source(&source)),
        async {
            until(|| source.fetches() == 3).await;
            source.gate.add_permits(3);
        }
    );
    assert_eq!(read.unwrap(), source.expected(bytes(1 << 20, len)));
    let mut fetches = source.fetches.lock().unwrap().clone();
    fetches.sort();
    let mib = |start: u64, end: u64| bytes(start << 20, end << 20);
    assert_eq!(fetches, [mib(1, 8), mib(8, 16), mib(16, 20)]);
}

#[tokio::test]
async fn what_was_prefetched_is_read_from_memory() {
    let cache = BlockCache::new(256 << 20);
    let source = TestSource::open();
    let len = 5 * BLOCK;
    cache.prefetch(TAG, len, bytes(BLOCK, 1 << 40), as_source(&source));
    until(|| cache.try_read(TAG, len, bytes(BLOCK, len)).is_some()).await;
    let read = cache.read(TAG, len, bytes(BLOCK, len), as_source(&source));
    assert_eq!(
        read.now_or_never().unwrap().unwrap(),
        source.expected(bytes(BLOCK, len))
    );
    cache.forget(TAG);
    assert_eq!(cache.try_read(TAG, len, bytes(BLOCK, len)), None);
    assert_eq!(cache.stats().bytes, 0);
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_read_larger_than_the_cache_is_served() {
    let cache = BlockCache::new(0);
    let source = TestSource::open();
    let range = bytes(10, 3 * BLOCK);
    let read = cache.read(TAG, 4 * BLOCK, range, as_source(&source)).await;
    assert_eq!(read.unwrap(), source.expected(range));
    until(|| cache.stats().bytes == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_read_the_right_bytes_within_the_bound() {
    const READ_BYTES_MAX: u64 = 3 * BLOCK;
    const READERS: u64 = 8;
    let len = 60 * BLOCK + 321;
    let cache = BlockCache::new(20 * BLOCK);
    let sources: Vec<_> = (0..3).map(|_| TestSource::open()).collect();
    let readers = (0..READERS).map(|reader| {
        let (cache, sources) = (cache.clone(), sources.clone());
        tokio::spawn(async move {
            let random = Jitter::seeded(reader);
            for _ in 0..300 {
                let tag = random.next_u64() % 3;
                let source = &sources[usize::try_from(tag).unwrap()];
                let start = random.next_u64() % len;
                let range = bytes(start, start + 1 + random.next_u64() % READ_BYTES_MAX);
                let end = range.end().min(len);
                match random.next_u64() % 8 {
                    0 => cache.prefetch(FileTag(tag), len, range, as_source(source)),
                    1 => cache.forget(FileTag(tag)),
                    2 => {
                        let quitter = cache.read(FileTag(tag), len, range, as_source(source));
                        drop(quitter.now_or_never());
                    }
                    _ => {
                        let read = cache.read(FileTag(tag), len, range, as_source(source));
                        assert_eq!(read.await.unwrap(), source.expected(bytes(start, end)));
                    }
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    until(|| cache.stats().bytes <= cache.stats().capacity).await;
    let stats = cache.stats();
    assert!(
        stats.hits > 0 && stats.misses > 0 && stats.evictions > 0,
        "{stats:?}"
    );
}
