//! The volume record.

use super::*;
use crate::crypto::NameKey;
use crate::crypto::passphrase::{Cost, Lock};
use crate::layout::sealed::volume::{SealedVolume, Settings, VolumeError, VolumeHeader};

struct Made {
    master: MasterKey,
    key: DataKey,
    header: VolumeHeader,
    record: Vec<u8>,
}

fn settings() -> Settings {
    Settings {
        sequence: 3,
        names: Names::Encrypted(Box::new(NameKey::from_secret(
            crate::base::secret::Secret::take(&mut [5; 64]),
        ))),
    }
}

fn made(passphrase: bool) -> Made {
    let (id, master, key) = (VolumeId::random(), MasterKey::random(), DataKey::random());
    let cost = Cost::new(32, 1, 4).unwrap();
    let lock = passphrase.then(|| {
        Lock::new(b"word", cost, id.as_bytes(), &master)
            .ok()
            .unwrap()
    });
    let header = VolumeHeader {
        id,
        kms_key_name: String::new(),
        key: WrappedKey::Master(master.wrap(id.as_bytes(), &key)),
        lock,
    };
    let record = header.seal(&key, &settings());
    Made {
        master,
        key,
        header,
        record,
    }
}

fn open(made: &Made, record: &[u8]) -> Result<Settings, VolumeError> {
    let sealed = SealedVolume::decode(record)?;
    sealed.open(&sealed.unwrap(&made.master)?)
}

#[test]
fn a_volume_record_comes_back() {
    for passphrase in [false, true] {
        let made = made(passphrase);
        let sealed = SealedVolume::decode(&made.record).unwrap();
        assert_eq!(*sealed.header(), made.header);
        let settings = open(&made, &made.record).ok().unwrap();
        assert_eq!(settings.sequence, 3);
        let Names::Encrypted(key) = settings.names else {
            panic!("names are encrypted")
        };
        assert!(*key.expose() == [5; 64]);
    }
    let made = made(false);
    let record = made.header.seal(
        &made.key,
        &Settings {
            sequence: 4,
            names: Names::Plain,
        },
    );
    let settings = open(&made, &record).ok().unwrap();
    assert!(matches!(
        (settings.sequence, settings.names),
        (4, Names::Plain)
    ));
}

#[test]
fn a_kms_volume_has_a_name_for_people_and_no_master_key() {
    let key = DataKey::random();
    let header = VolumeHeader {
        id: VolumeId::random(),
        kms_key_name: "arn:aws:kms:eu-central-1:111122223333:key/x".to_owned(),
        key: WrappedKey::Kms(vec![9; 184]),
        lock: None,
    };
    let sealed = SealedVolume::decode(&header.seal(&key, &settings())).unwrap();
    assert_eq!(*sealed.header(), header);
    assert!(sealed.open(&key).is_ok());
    assert_eq!(
        sealed.unwrap(&MasterKey::random()).err(),
        Some(VolumeError::WrongKey)
    );
}

#[test]
fn a_wrong_key_and_a_changed_record_are_told_apart() {
    let made = made(true);
    let sealed = SealedVolume::decode(&made.record).unwrap();
    assert_eq!(
        sealed
            .unwrap(&MasterKey::random())
            .err()
            .unwrap()
            .to_string(),
        "does not open with this master key: it is not the key of this volume"
    );
    let mut changed = made.record.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(
        open(&made, &changed).err().unwrap().to_string(),
        "was changed, for the key is right: restore it from its export or an older version"
    );
}

#[test]
fn every_flipped_bit_of_a_volume_record_is_found() {
    let made = made(true);
    for at in 0..made.record.len() {
        for bit in 0..8 {
            let mut changed = made.record.clone();
            changed[at] ^= 1 << bit;
            assert!(open(&made, &changed).is_err(), "byte {at} bit {bit}");
        }
    }
    for cut in 0..made.record.len() {
        assert!(open(&made, &made.record[..cut]).is_err(), "cut at {cut}");
    }
    assert!(open(&made, &[&made.record, [0].as_slice()].concat()).is_err());
}

#[test]
fn other_files_and_versions_are_told_apart() {
    let decode = |record: &[u8]| SealedVolume::decode(record).unwrap_err();
    assert_eq!(decode(b""), VolumeError::NotOurs);
    assert_eq!(decode(b"something else"), VolumeError::NotOurs);
    let mut newer = made(false).record;
    newer[8] = 2;
    assert_eq!(
        decode(&newer).to_string(),
        "has format version 2, and this cloakfs reads version 1: use a newer one"
    );
}

#[test]
fn an_excessive_cost_is_refused_before_it_is_paid() {
    let made = made(true);
    let lock = made.header.lock.as_ref().unwrap();
    let at = made
        .record
        .windows(16)
        .position(|window| window == lock.salt)
        .unwrap()
        + 16;
    let mut changed = made.record.clone();
    changed[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let error = SealedVolume::decode(&changed).unwrap_err();
    assert!(matches!(error, VolumeError::Cost(_)), "{error}");
}
