//! What is asked of the kernel at the start.

use fuser::{InitFlags, KernelConfig};

/// Largest write request, and the read-ahead that is asked for, in bytes: the kernel's own
/// maximum of 256 pages.
pub(in super::super) const REQUEST_BYTES_MAX: u32 = 1 << 20;
/// Reads ahead and direct I/O that may wait at the same time.
const BACKGROUND_REQUESTS_MAX: u16 = 64;

/// Asks for what this kernel offers of what we want.
///
/// Where nobody else changes the volume, the kernel also keeps written pages back and remembers
/// symbolic links.
///
/// What is left out on purpose: `HANDLE_KILLPRIV` (so that the kernel itself clears set-user-id bits, with a setattr),
/// `POSIX_ACL`, and the lock flags (locks are the kernel's own, local to this machine).
pub(super) fn choose(config: &mut KernelConfig, is_exclusive: bool) {
    let alone = [
        InitFlags::FUSE_WRITEBACK_CACHE,
        InitFlags::FUSE_CACHE_SYMLINKS,
    ];
    let alone = alone.into_iter().filter(|_| is_exclusive);
    for wanted in [
        InitFlags::FUSE_ASYNC_READ,
        InitFlags::FUSE_BIG_WRITES,
        InitFlags::FUSE_PARALLEL_DIROPS,
        InitFlags::FUSE_DO_READDIRPLUS,
        InitFlags::FUSE_READDIRPLUS_AUTO,
        InitFlags::FUSE_ASYNC_DIO,
        InitFlags::FUSE_ATOMIC_O_TRUNC,
    ]
    .into_iter()
    .chain(alone)
    {
        if let Err(missing) = config.add_capabilities(wanted) {
            tracing::debug!("the kernel does not offer {missing:?}");
        }
    }
    // Each of these answers with the nearest value that is allowed.
    if let Err(allowed) = config.set_max_write(REQUEST_BYTES_MAX) {
        let _previous = config.set_max_write(allowed);
    }
    if let Err(allowed) = config.set_max_readahead(REQUEST_BYTES_MAX) {
        let _previous = config.set_max_readahead(allowed);
    }
    if let Err(allowed) = config.set_max_background(BACKGROUND_REQUESTS_MAX) {
        let _previous = config.set_max_background(allowed);
    }
}
