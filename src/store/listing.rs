//! How a listing is cut into pages, as pure functions over keys in byte order.
//!
//! A listing is at a *cursor*: the smallest key that it may still show. After the key `k` the
//! cursor is `k` and a NUL, after the common prefix `p/` it is `p0` (`0` follows `/`), so that a
//! page that ends in a common prefix goes on behind everything below it. The cursor is what
//! the token of the next page holds.

use super::{
    ErrorKind, ListOptions, ListPage, ListToken, ListedObject, Operation, Result, StoreError,
};
use crate::base::limits;

/// A checked request for one page.
#[derive(Debug, PartialEq, Eq)]
pub struct PagePlan {
    pub prefix: String,
    pub delimiter: bool,
    /// The smallest key that the page may show.
    pub cursor: String,
    pub keys_max: usize,
}

/// What one key is in a listing.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// Before the cursor or outside of the prefix.
    No,
    Object,
    /// Its first so many bytes are the common prefix that stands for it.
    Below(usize),
}

impl PagePlan {
    pub fn new(options: ListOptions) -> Result<Self> {
        let keys_max = options.max_keys.unwrap_or(limits::LIST_PAGE_KEYS);
        if keys_max == 0 || keys_max > limits::LIST_PAGE_KEYS {
            return Err(StoreError::new(
                ErrorKind::Invalid,
                Operation::ListObjects,
                options.prefix,
                format!(
                    "a page has 1 to {} keys, not {keys_max}",
                    limits::LIST_PAGE_KEYS
                ),
            )
            .with_code("InvalidArgument"));
        }
        let cursor = match (options.token, options.start_after) {
            (Some(token), _) => token.as_str().to_owned(),
            (None, Some(key)) => after_key(&key),
            (None, None) => String::new(),
        };
        Ok(Self {
            prefix: options.prefix,
            delimiter: options.delimiter,
            cursor,
            keys_max: keys_max as usize,
        })
    }

    /// The first key to look at, in byte order.
    #[must_use]
    pub fn first(&self) -> &str {
        self.cursor.as_str().max(&self.prefix)
    }

    #[must_use]
    pub fn show(&self, key: &str) -> Shown {
        if key < self.cursor.as_str() {
            return Shown::No;
        }
        let Some(rest) = key.strip_prefix(self.prefix.as_str()) else {
            return Shown::No;
        };
        match rest.find('/') {
            Some(at) if self.delimiter => Shown::Below(self.prefix.len() + at + 1),
            _ => Shown::Object,
        }
    }

    /// What the keys below `start` are, which ends in `/`: all behind one common prefix, or to
    /// be looked at one by one.
    #[must_use]
    pub fn show_below(&self, start: &str) -> Shown {
        match start
            .strip_prefix(self.prefix.as_str())
            .and_then(|rest| rest.find('/'))
        {
            Some(at) if self.delimiter => Shown::Below(self.prefix.len() + at + 1),
            _ => Shown::Object,
        }
    }

    /// Whether a key that begins with `start` may be shown.
    #[must_use]
    pub fn may_show_below(&self, start: &str) -> bool {
        let after_cursor = start >= self.cursor.as_str() || self.cursor.starts_with(start);
        let in_prefix = start.starts_with(self.prefix.as_str()) || self.prefix.starts_with(start);
        after_cursor && in_prefix
    }
}

/// The page as far as it is filled.
#[derive(Debug)]
pub struct PageBuilder {
    keys_max: usize,
    /// The cursor behind the last thing in the page.
    cursor: String,
    page: ListPage,
}

impl PageBuilder {
    #[must_use]
    pub fn new(plan: &PagePlan) -> Self {
        Self {
            keys_max: plan.keys_max,
            cursor: String::new(),
            page: ListPage::default(),
        }
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.page.objects.len() + self.page.common_prefixes.len() >= self.keys_max
    }

    pub fn push_object(&mut self, object: ListedObject) {
        self.cursor = after_key(&object.key);
        self.page.objects.push(object);
    }

    /// `prefix` ends in `/`.
    pub fn push_prefix(&mut self, prefix: &str) {
        self.cursor = after_prefix(prefix);
        self.page.common_prefixes.push(prefix.to_owned());
    }

    /// The page with which the listing ends.
    #[must_use]
    pub fn last(self) -> ListPage {
        self.page
    }

    /// The page after which the listing goes on.
    #[must_use]
    pub fn with_more(mut self) -> ListPage {
        self.page.next = Some(ListToken::new(self.cursor));
        self.page
    }
}

/// The smallest key after `key`.
#[must_use]
pub fn after_key(key: &str) -> String {
    format!("{key}\0")
}

/// The smallest key after all that begin with `prefix`, which ends in `/`.
#[must_use]
pub fn after_prefix(prefix: &str) -> String {
    format!("{}0", &prefix[..prefix.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_lies_between_a_key_or_prefix_and_the_cursor_behind_it(
            key in "[a/0.\\-\u{0}]{1,6}", other in "[a/0.\\-\u{0}]{0,6}"
        ) {
            prop_assert_eq!(other >= after_key(&key), other > key);
            let prefix = format!("{key}/");
            let behind = other > prefix && !other.starts_with(&prefix);
            prop_assert_eq!(other >= after_prefix(&prefix), behind);
        }

        #[test]
        fn a_subtree_is_left_out_only_when_none_of_its_keys_is_shown(
            prefix in "[a/b]{0,3}", cursor in "[a/b]{0,4}",
            start in "[a/b]{0,3}", rest in "[a/b]{0,3}",
        ) {
            let plan = PagePlan { prefix, delimiter: false, cursor, keys_max: 1 };
            if plan.show(&format!("{start}{rest}")) == Shown::Object {
                prop_assert!(plan.may_show_below(&start));
            }
        }
    }
}
