//! Listings (ListObjectsV2).

use aws_sdk_s3::types::{EncodingType, StorageClass};

use super::{S3Store, answers, carried, corrupt, errors};
use crate::store::{
    ETag, ListOptions, ListPage, ListToken, ListedObject, ObjectKey, Operation, Result,
};

impl S3Store {
    pub(super) async fn list_objects(&self, options: ListOptions) -> Result<ListPage> {
        let operation = Operation::ListObjects;
        let max_keys = options
            .max_keys
            .map(|keys| i32::try_from(keys).unwrap_or(i32::MAX));
        let output = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&options.prefix)
            .set_delimiter(options.delimiter.then(|| "/".to_owned()))
            .set_start_after(options.start_after.filter(|_| options.token.is_none()))
            .set_continuation_token(options.token.map(|token| token.to_string()))
            .set_max_keys(max_keys)
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| errors::from_sdk(operation, &options.prefix, error))?;

        let corrupt = corrupt(operation, &options.prefix);
        let mut page = ListPage::default();
        for object in output.contents.unwrap_or_default() {
            let key = object
                .key
                .ok_or_else(|| corrupt("a listed object has no key".to_owned()))?;
            let key = answers::listed_key(&key).map_err(&corrupt)?;
            if !key.starts_with(&options.prefix) {
                let words = format!("the listing has the key {key:?}, which was not asked for");
                return Err(corrupt(words));
            }
            let etag = answers::etag(object.e_tag).map_err(&corrupt)?;
            if let Some(class) = &object.storage_class {
                self.note_class(&key, &etag, class.as_str());
            }
            page.objects.push(ListedObject {
                key,
                size: answers::size(object.size).map_err(&corrupt)?,
                etag,
                last_modified: answers::timestamp(object.last_modified).map_err(&corrupt)?,
            });
        }
        for prefix in output.common_prefixes.unwrap_or_default() {
            let prefix = prefix
                .prefix
                .ok_or_else(|| corrupt("a listed prefix is empty".to_owned()))?;
            page.common_prefixes
                .push(answers::listed_key(&prefix).map_err(&corrupt)?);
        }
        page.next = match output.next_continuation_token {
            Some(token) if output.is_truncated == Some(true) => Some(ListToken::new(token)),
            None if output.is_truncated == Some(true) => {
                return Err(corrupt(
                    "the listing is cut short without saying where it goes on".to_owned(),
                ));
            }
            _ => None,
        };
        Ok(page)
    }

    /// A listing tells the storage class alone, so that it adds to what is known but never
    /// takes away.
    fn note_class(&self, key: &str, etag: &ETag, class: &str) {
        let class = StorageClass::from(class);
        let Ok(key) = ObjectKey::new(key) else { return };
        if class == StorageClass::Standard || self.carried.knows(&key, etag) {
            return;
        }
        let properties = carried::Properties {
            storage_class: Some(class),
            ..carried::Properties::default()
        };
        self.carried.note(&key, etag, properties);
    }
}
