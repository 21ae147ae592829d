//! A new data key under the root of a volume.

use crate::crypto::DataKey;
use crate::keys::kms::KmsError;
use crate::keys::root::Root;
use crate::layout::sealed::{VolumeId, WrappedKey};

/// # Errors
/// When KMS gives none.
pub(in crate::volume) async fn new_data_key(
    root: &Root,
    volume: VolumeId,
) -> Result<(DataKey, WrappedKey), KmsError> {
    match root {
        Root::Master(master) => {
            let key = DataKey::random();
            let wrapped = master.wrap(volume.as_bytes(), &key);
            Ok((key, WrappedKey::Master(wrapped)))
        }
        Root::Kms(kms) => {
            let (key, blob) = kms.generate(volume.as_bytes()).await?;
            Ok((key, WrappedKey::Kms(blob)))
        }
    }
}
