//! What each change leaves in the bucket, opened with the root alone as docs/FORMAT.md says: no
//! code of the volume's reading side takes part.

mod attributes;
mod copies;
mod puts;
mod random;
mod rig;
mod uploads;

use rig::{File, Rig, content, xattrs};
