use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::store::{ListOptions, ListPage, PutOptions, Store};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

async fn all_pages(store: &MemStore, options: &ListOptions) -> Vec<ListPage> {
    let mut pages = vec![];
    let mut token = None;
    loop {
        let options = ListOptions {
            token,
            ..options.clone()
        };
        let page = store.list(options).await.unwrap();
        token = page.next.clone();
        pages.push(page);
        if token.is_none() {
            return pages;
        }
    }
}

/// What S3's documentation says a listing is, the slow way.
fn expected(keys: &BTreeSet<String>, options: &ListOptions) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut prefixes) = (vec![], BTreeSet::new());
    let after = options.start_after.as_deref();
    for key in keys
        .iter()
        .filter(|key| after.is_none_or(|after| key.as_str() > after))
    {
        match key.strip_prefix(&options.prefix).map(|rest| rest.find('/')) {
            Some(Some(at)) if options.delimiter => {
                prefixes.insert(key[..=options.prefix.len() + at].to_owned());
            }
            Some(_) => objects.push(key.clone()),
            None => {}
        }
    }
    (objects, prefixes.into_iter().collect())
}

proptest! {
    #[test]
    fn pages_of_any_size_show_each_key_and_prefix_once(
        keys in proptest::collection::btree_set("[ab/]{1,5}", 0..30),
        prefix in "[ab/]{0,2}", delimiter: bool, max_keys in 1u32..5,
        start_after in proptest::option::of("[ab/]{0,4}"),
    ) {
        block_on(async {
            let store = MemStore::seeded(1);
            for key in &keys {
                let key = ObjectKey::new(key.as_str()).unwrap();
                store.put(&key, Bytes::new(), PutOptions::default()).await.unwrap();
            }
            let options = ListOptions {
                prefix, delimiter, start_after, token: None, max_keys: Some(max_keys),
            };
            let pages = all_pages(&store, &options).await;
            for page in &pages {
                let shown = page.objects.len() + page.common_prefixes.len();
                assert!(shown <= max_keys as usize);
                assert!(shown == max_keys as usize || page.next.is_none());
            }
            let objects: Vec<_> =
                pages.iter().flat_map(|page| &page.objects).map(|o| o.key.clone()).collect();
            let prefixes: Vec<_> =
                pages.iter().flat_map(|page| page.common_prefixes.clone()).collect();
            assert_eq!((objects, prefixes), expected(&keys, &options));
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_etags() {
    let etags = || {
        block_on(async {
            let (store, key) = (MemStore::seeded(7), ObjectKey::new("k").unwrap());
            let mut etags = vec![];
            for _ in 0..3 {
                let written = store.put(&key, Bytes::new(), PutOptions::default()).await;
                etags.push(written.unwrap().etag);
            }
            (
                etags,
                store
                    .head(&key, crate::store::HeadOptions::default())
                    .await
                    .unwrap(),
            )
        })
    };
    assert_eq!(etags(), etags());
    assert_eq!(etags().0.into_iter().collect::<BTreeSet<_>>().len(), 3);
}
