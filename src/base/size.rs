//! Sizes as people write them: `512MiB`, `8G`, `1048576`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes. Suffixes `K`, `M`, `G`, `T`, with or without `iB`, are powers of 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{0}\" is not a size: write a whole number of bytes, or one with K, M, G or T (powers of 1,024), as in 512MiB"
)]
pub struct NotASize(String);

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotASize(text.to_owned());
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let shift = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in UNITS {
            if self.0 >= 1 << shift {
                let whole = self.0 >> shift;
                let tenths = ((self.0 & ((1 << shift) - 1)) * 10) >> shift;
                return if tenths == 0 {
                    write!(f, "{whole} {unit}")
                } else {
                    write!(f, "{whole}.{tenths} {unit}")
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        assert_eq!("512MiB".parse(), Ok(ByteSize(512 << 20)));
        assert_eq!("8g".parse(), Ok(ByteSize(8 << 30)));
        assert_eq!("17".parse(), Ok(ByteSize(17)));
        assert!("".parse::<ByteSize>().is_err());
        assert!("1.5G".parse::<ByteSize>().is_err());
        assert!("99999999T".parse::<ByteSize>().is_err());
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
        assert_eq!(ByteSize(7).to_string(), "7 B");
    }
}
