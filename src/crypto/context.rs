//! What a sealed message is for, as bytes.
//!
//! A message opens only under the context that it was sealed with, so a context names the
//! message's one place: its purpose and whatever tells it from every other of that purpose.
//! The encoding is injective: two contexts that differ in any way differ in their bytes.
//!
//! The purposes and their fields are those of docs/FORMAT.md, section 3.
//!
//! ```text
//! context = format version (1 byte, 1) ‖ purpose (1 byte) ‖ field*
//! field   = 01 ‖ number (8 bytes, big-endian)
//!         | 02 ‖ length (4 bytes, big-endian) ‖ bytes
//! ```

/// Version of everything that is sealed.
const FORMAT_VERSION: u8 = 1;
const NUMBER_FIELD: u8 = 1;
const BYTES_FIELD: u8 = 2;

/// Kinds of sealed messages. The numbers are part of the format and never change their
/// meaning; those from 0x80 never leave this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// The master key under the key from a passphrase. Fields: volume id.
    MasterKey = 1,
    /// A data key under the master key. Fields: volume id.
    DataKey = 2,
    /// A volume's settings. Fields: what comes before them in the volume record.
    Settings = 3,
    /// The record in an object's metadata. Fields: volume id, stored key.
    Record = 4,
    /// One segment of a file. Fields: content id, index.
    Segment = 5,
    /// Which segments a body has. Fields: content id, body id.
    Manifest = 6,
    /// Extended attributes in a body. Fields: content id, body id.
    Xattrs = 7,
    /// The end of a body. Fields: content id, body id.
    Footer = 8,
    /// An encrypted name, which is AES-SIV and no message. Fields: the parent's stored path.
    Name = 9,
    /// Dirty data of an open file in the staging area. Fields: file, slot, write.
    Staging = 0x80,
    /// A key of this machine's, under the one that it is got again from. Fields: what it is for.
    LocalKey = 0x81,
    /// A frame of the journal of closed files. Fields: source, journal, log, number in the log.
    Journal = 0x82,
}

/// A purpose and the fields that it is described with, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context(Vec<u8>);

impl Context {
    #[must_use]
    pub fn new(purpose: Purpose) -> Self {
        Self(vec![FORMAT_VERSION, purpose as u8])
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.0.push(NUMBER_FIELD);
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds a string of bytes.
    ///
    /// # Panics
    /// At 4 GiB: contexts are names and ids.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("a field of a context is below 4 GiB");
        self.0.push(BYTES_FIELD);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Any bytes, for test vectors that others made.
    #[cfg(test)]
    pub(super) fn raw(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Context {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Context, Purpose};

    #[derive(Clone, Debug, PartialEq)]
    enum Field {
        Number(u64),
        Bytes(Vec<u8>),
    }

    fn encode(fields: &[Field]) -> Context {
        let start = Context::new(Purpose::Staging);
        fields.iter().fold(start, |context, field| match field {
            Field::Number(number) => context.number(*number),
            Field::Bytes(bytes) => context.bytes(bytes),
        })
    }

    fn decode(mut rest: &[u8]) -> Vec<Field> {
        fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
            let (taken, left) = rest.split_at(len);
            *rest = left;
            taken
        }
        assert_eq!(take(&mut rest, 2), [1, Purpose::Staging as u8]);
        let mut fields = Vec::new();
        while !rest.is_empty() {
            fields.push(match take(&mut rest, 1)[0] {
                1 => Field::Number(u64::from_be_bytes(take(&mut rest, 8).try_into().unwrap())),
                2 => {
                    let len = u32::from_be_bytes(take(&mut rest, 4).try_into().unwrap());
                    Field::Bytes(take(&mut rest, len as usize).to_vec())
                }
                tag => panic!("field tag {tag}"),
            });
        }
        fields
    }

    fn fields() -> impl Strategy<Value = Vec<Field>> {
        let field = prop_oneof![
            any::<u64>().prop_map(Field::Number),
            proptest::collection::vec(0_u8..4, 0..12).prop_map(Field::Bytes),
        ];
        proptest::collection::vec(field, 0..5)
    }

    proptest! {
        /// What can be decoded to the same fields again is injective.
        #[test]
        fn encoding_is_injective(fields in fields()) {
            prop_assert_eq!(decode(encode(&fields).as_bytes()), fields);
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let context = |a: &[u8], b: &[u8]| Context::new(Purpose::Staging).bytes(a).bytes(b);
        assert_ne!(context(b"AB", b"C"), context(b"A", b"BC"));
        let number = Context::new(Purpose::Staging).number(7);
        assert_ne!(
            number,
            Context::new(Purpose::Staging).bytes(&7_u64.to_be_bytes())
        );
    }
}
