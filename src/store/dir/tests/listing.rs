//! Listings against the store in memory.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::store::mem::MemStore;

async fn listing(store: &dyn Store, options: &ListOptions) -> Vec<(Vec<String>, Vec<String>)> {
    let (mut pages, mut token) = (vec![], None);
    loop {
        let options = ListOptions {
            token,
            ..options.clone()
        };
        let page = store.list(options).await.unwrap();
        token = page.next;
        let keys = page.objects.into_iter().map(|object| object.key).collect();
        pages.push((keys, page.common_prefixes));
        if token.is_none() {
            return pages;
        }
    }
}

fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    let long = (246usize..262, "[a/.]{0,3}").prop_map(|(len, tail)| "a".repeat(len) + &tail);
    let key = prop_oneof![4 => "[a./%0]{1,5}", 1 => long];
    proptest::collection::btree_set(key, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_listing_is_that_of_the_store_in_memory(
        keys in keys(), prefix in "[a./]{0,2}", delimiter: bool,
        max_keys in 1u32..6, start_after in proptest::option::of("[a./]{0,3}"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_dir, store) = store();
            let mem = MemStore::seeded(1);
            for name in &keys {
                put(&store, name, "x").await.unwrap();
                put(&mem, name, "x").await.unwrap();
            }
            let options = ListOptions {
                prefix, delimiter, start_after, token: None, max_keys: Some(max_keys),
            };
            assert_eq!(listing(&store, &options).await, listing(&mem, &options).await);
            for name in &keys {
                store.delete(&key(name), DeleteOptions::default()).await.unwrap();
            }
            assert_eq!(paths(store.0.disk.root()), Vec::<String>::new());
        });
    }
}
