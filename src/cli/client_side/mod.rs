//! The client-side modes: what their options mean ([`options`]), and the way from them to an
//! open volume ([`keys`], [`volume`]).

mod keys;
mod options;
mod volume;

pub(super) use keys::{Kms, Material, ask, s3ec_reading};
pub(super) use options::{ClientSide, ClientSideError, RootSource};
pub(super) use volume::{Mounted, Place, Wanted, for_mount, open_record, refuse_moved};
