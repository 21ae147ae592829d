//! Memory for key material: pages that are not swapped, not dumped and not inherited.
//!
//! The system counts locked memory in whole pages, and a mount has a secret for each piece that
//! it stages: so secrets are slots of a few regions, not pages of their own. Regions are never
//! given back; a slot is wiped when it is, so whoever takes one finds zeros.
//!
//! A forked child has none of this memory, and would crash where it touched it. So a process
//! that means to go on as its child forks before its first secret ([`Locking::Unused`]).

use std::alloc::{Layout, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

/// Room of one secret.
pub(super) const SLOT_BYTES: usize = 64;
/// 256 slots. Four regions are what the smallest usual limit on locked memory (64 KiB) allows.
const REGION_BYTES: usize = 16 << 10;

/// How it is with the locking of key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locking {
    /// There was no secret yet.
    Unused,
    /// All of it stays in memory.
    Locked,
    /// Some of it may be written to swap, for this reason.
    Refused(String),
}

impl Locking {
    /// What the user should know: a sentence.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Unused | Self::Locked => None,
            Self::Refused(reason) => Some(format!(
                "keys cannot be locked in memory ({reason}), so they may be written to swap: allow more locked memory (`ulimit -l`, LimitMEMLOCK= of a service), or see that swap is encrypted or off"
            )),
        }
    }
}

/// A slot of the process's own arena, given back when dropped.
pub(super) struct Slot(RawSlot);

static ARENA: Mutex<Arena> = Mutex::new(Arena::new(lock));

pub(super) fn locking() -> Locking {
    arena().locking.clone()
}

/// Pages for one secret of at least so many bytes, all zeros, and how many they have; given back
/// with munmap(2).
pub(super) fn pages(bytes: usize) -> (NonNull<u8>, usize) {
    arena().region(bytes)
}

fn arena() -> MutexGuard<'static, Arena> {
    // A panic leaves no arena half changed.
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// All zeros.
    pub(super) fn take() -> Self {
        Self(arena().take())
    }

    pub(super) const fn bytes(&self) -> &[u8; SLOT_BYTES] {
        self.0.bytes()
    }

    pub(super) const fn bytes_mut(&mut self) -> &mut [u8; SLOT_BYTES] {
        self.0.bytes_mut()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.bytes_mut().zeroize();
        // The slot itself is gone with this value.
        arena().free.push(RawSlot(self.0.0));
    }
}

/// The regions, and which of their slots nobody has.
struct Arena {
    free: Vec<RawSlot>,
    locking: Locking,
    lock: fn(NonNull<u8>, usize) -> io::Result<()>,
}

/// A slot that nothing else refers to: the address of [`SLOT_BYTES`] initialised bytes.
struct RawSlot(NonNull<u8>);

// SAFETY: nothing else refers to the bytes, and they belong to no thread.
unsafe impl Send for RawSlot {}
// SAFETY: a shared one gives out shared references only.
unsafe impl Sync for RawSlot {}

impl RawSlot {
    const fn bytes(&self) -> &[u8; SLOT_BYTES] {
        // SAFETY: by the type's rule the bytes are there, initialised, and written to by nobody
        // while `self` is borrowed; regions are never unmapped. Bytes need no alignment.
        unsafe { self.0.cast().as_ref() }
    }

    const fn bytes_mut(&mut self) -> &mut [u8; SLOT_BYTES] {
        // SAFETY: as above, and `self` is borrowed by nobody else.
        unsafe { self.0.cast().as_mut() }
    }
}

impl Arena {
    const fn new(lock: fn(NonNull<u8>, usize) -> io::Result<()>) -> Self {
        Self {
            free: Vec::new(),
            locking: Locking::Unused,
            lock,
        }
    }

    fn take(&mut self) -> RawSlot {
        if self.free.is_empty() {
            self.grow();
        }
        self.free.pop().expect("a new region has slots")
    }

    /// A locked region of zeros, of at least so many bytes, and how many it has.
    fn region(&mut self, bytes: usize) -> (NonNull<u8>, usize) {
        // SAFETY: sysconf has no preconditions.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(1);
        let len = bytes.next_multiple_of(page);
        let region = map(len);
        match (self.lock)(region, len) {
            Ok(()) if self.locking == Locking::Unused => self.locking = Locking::Locked,
            Ok(()) => {}
            Err(error) => self.locking = Locking::Refused(why_not(&error)),
        }
        (region, len)
    }

    fn grow(&mut self) {
        let (region, len) = self.region(REGION_BYTES);
        self.free.extend((0..len / SLOT_BYTES).map(|index| {
            // SAFETY: the offset is within the region; each slot is made once.
            RawSlot(unsafe { region.add(index * SLOT_BYTES) })
        }));
    }
}

/// A region of zeros that no core dump holds and no child inherits.
fn map(len: usize) -> NonNull<u8> {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no other.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    let region = match NonNull::new(address.cast::<u8>()) {
        Some(region) if address != libc::MAP_FAILED => region,
        _ => handle_alloc_error(Layout::array::<u8>(len).expect("a region is small")),
    };
    for advice in [libc::MADV_DONTDUMP, libc::MADV_DONTFORK] {
        // A kernel that knows no such advice is no reason to stop: a mount has its core dumps
        // switched off besides, and its children are other programs.
        // SAFETY: the region is mapped, and neither advice changes what is in it.
        let _unknown = unsafe { libc::madvise(address, len, advice) };
    }
    region
}

fn lock(region: NonNull<u8>, len: usize) -> io::Result<()> {
    // SAFETY: locking changes nothing that a program can see.
    if unsafe { libc::mlock(region.as_ptr().cast(), len) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn why_not(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOMEM | libc::EPERM) => {
            "the limit on locked memory does not allow it".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(_region: NonNull<u8>, _len: usize) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::ENOMEM))
    }

    #[test]
    fn a_slot_is_given_again_as_zeros() {
        let slot = |slot: &Slot| slot.0.0.as_ptr() as usize;
        // Others take slots at the same time: until the same comes back.
        for _ in 0..10_000 {
            let mut first = Slot::take();
            assert_eq!(first.bytes(), &[0; SLOT_BYTES]);
            first.bytes_mut().fill(0xa5);
            let address = slot(&first);
            drop(first);
            let second = Slot::take();
            if slot(&second) == address {
                assert_eq!(second.bytes(), &[0; SLOT_BYTES]);
                return;
            }
        }
        panic!("no slot was ever given again");
    }

    #[test]
    fn slots_do_not_overlap_and_are_aligned() {
        let mut arena = Arena::new(lock);
        let mut addresses: Vec<usize> = (0..1_000)
            .map(|_| arena.take().0.as_ptr() as usize)
            .collect();
        addresses.sort_unstable();
        for pair in addresses.windows(2) {
            assert!(pair[1] - pair[0] >= SLOT_BYTES);
        }
        assert!(addresses.iter().all(|address| address % SLOT_BYTES == 0));
    }

    #[test]
    fn where_locking_is_refused_slots_work_and_the_reason_is_told() {
        let mut arena = Arena::new(refuse);
        assert_eq!(arena.locking, Locking::Unused);
        let mut slot = arena.take();
        slot.bytes_mut().fill(7);
        assert_eq!(slot.bytes(), &[7; SLOT_BYTES]);
        assert_eq!(
            arena.locking.note().unwrap(),
            "keys cannot be locked in memory (the limit on locked memory does not allow it), so they may be written to swap: allow more locked memory (`ulimit -l`, LimitMEMLOCK= of a service), or see that swap is encrypted or off"
        );
        // It stays told when later regions are locked.
        arena.lock = lock;
        let _many: Vec<RawSlot> = (0..1_000).map(|_| arena.take()).collect();
        assert!(matches!(arena.locking, Locking::Refused(_)));
    }

    #[test]
    fn the_kernel_neither_swaps_nor_dumps_nor_inherits_the_pages() {
        let slot = Slot::take();
        let flags = flags_of(slot.0.0.as_ptr() as usize);
        assert!(flags.contains(&"dd".to_owned()), "{flags:?}");
        assert!(flags.contains(&"dc".to_owned()), "{flags:?}");
        let is_locked = flags.contains(&"lo".to_owned());
        assert_eq!(is_locked, locking() == Locking::Locked, "{flags:?}");
        // The control: memory of the ordinary kind has none of them.
        let ordinary = Box::new([0_u8; SLOT_BYTES]);
        let flags = flags_of(ordinary.as_ptr() as usize);
        assert!(
            !flags
                .iter()
                .any(|flag| ["dd", "dc", "lo"].contains(&&**flag))
        );
    }

    /// The kernel's flags of the mapping that holds `address`.
    fn flags_of(address: usize) -> Vec<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_it = false;
        for line in smaps.lines() {
            let range = line.split_once(' ').and_then(|(range, _)| {
                let (start, end) = range.split_once('-')?;
                let hex = |text| usize::from_str_radix(text, 16).ok();
                Some(hex(start)?..hex(end)?)
            });
            if let Some(range) = range {
                is_it = range.contains(&address);
            } else if let (true, Some(flags)) = (is_it, line.strip_prefix("VmFlags:")) {
                return flags.split_whitespace().map(str::to_owned).collect();
            }
        }
        panic!("no mapping holds {address:x}");
    }
}
