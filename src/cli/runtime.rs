//! Running a command that is no mount.

use std::time::Duration;

use anyhow::Context as _;

/// Blocking calls that still run when all is done get this long.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Runs a command to its end.
pub(super) fn run(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let done = runtime.block_on(command);
    // Dropping it would wait without end for a blocking call that hangs.
    runtime.shutdown_timeout(SHUTDOWN);
    done
}
