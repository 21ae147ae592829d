//! Listings.

use bytes::Bytes;
use cloakfs::store::{ListOptions, ListPage, PutOptions};
use futures_util::{StreamExt, stream};

use super::Server;

fn keys(pages: &[ListPage]) -> Vec<&str> {
    let objects = pages.iter().flat_map(|page| &page.objects);
    objects.map(|object| object.key.as_str()).collect()
}

fn prefixes(pages: &[ListPage]) -> Vec<&str> {
    let prefixes = pages.iter().flat_map(|page| &page.common_prefixes);
    prefixes.map(String::as_str).collect()
}

/// 1,000 keys and prefixes on each page but the last, which may be empty: a server that finds out
/// only then that there is no more says so there.
fn assert_pages_are_full(pages: &[ListPage]) {
    let count = |page: &ListPage| page.objects.len() + page.common_prefixes.len();
    let counts: Vec<_> = pages.iter().map(count).collect();
    let full = &counts[..counts.len() - 1];
    assert!(full.iter().all(|&count| count == 1000), "{counts:?}");
}

/// 11,500 objects in one directory, and 500 in fifty below it.
pub async fn twelve_thousand_keys(server: &Server) {
    let prefix = format!("{}many/", server.prefix);
    let flat = (0..11_500).map(|at| format!("{prefix}file-{at:05}"));
    let below = (0..500).map(|at| format!("{prefix}dir-{:02}/{at:03}", at / 10));
    let mut all: Vec<String> = flat.chain(below).collect();
    all.sort();
    stream::iter(&all)
        .for_each_concurrent(48, |key| async move {
            let key = server.key(&key[server.prefix.len()..]);
            let put = server.store.put(&key, Bytes::new(), PutOptions::default());
            put.await.unwrap_or_else(|error| panic!("{error}"));
        })
        .await;
    let options = ListOptions {
        prefix: prefix.clone(),
        ..ListOptions::default()
    };

    let pages = server.pages(options.clone()).await;
    assert_pages_are_full(&pages);
    assert_eq!(keys(&pages), all);
    assert!(prefixes(&pages).is_empty());

    let delimited = ListOptions {
        delimiter: true,
        ..options.clone()
    };
    let pages = server.pages(delimited.clone()).await;
    assert_pages_are_full(&pages);
    assert_eq!(keys(&pages), all[500..]);
    let directories: Vec<_> = (0..50).map(|at| format!("{prefix}dir-{at:02}/")).collect();
    assert_eq!(prefixes(&pages), directories);

    for (after, expected) in [
        (all[6000].clone(), &all[6001..]),
        (all[6000].clone() + "-between", &all[6001..]),
        (all[11_999].clone(), &[]),
    ] {
        for options in [&options, &delimited] {
            let start_after = Some(after.clone());
            let pages = server
                .pages(ListOptions {
                    start_after,
                    ..options.clone()
                })
                .await;
            assert_eq!(keys(&pages), expected, "after {after}");
            assert!(prefixes(&pages).is_empty(), "after {after}");
        }
    }
    // Leaves the server as it was: later runs list it too.
    stream::iter(&all)
        .for_each_concurrent(48, |key| async move {
            let key = server.key(&key[server.prefix.len()..]);
            let deleted = server
                .store
                .delete(&key, cloakfs::store::DeleteOptions::default());
            deleted.await.unwrap_or_else(|error| panic!("{error}"));
        })
        .await;
}

pub async fn pages_do_not_repeat_prefixes(server: &Server) {
    for name in ["a/1", "a/2", "a/3", "b", "c/1", "c/d/2", "e"] {
        server.put(&format!("pages/{name}"), "x").await;
    }
    let prefix = format!("{}pages/", server.prefix);
    for max_keys in 1..=6 {
        let options = ListOptions {
            prefix: prefix.clone(),
            delimiter: true,
            max_keys: Some(max_keys),
            ..ListOptions::default()
        };
        let pages = server.pages(options).await;
        let below = |name: &str| format!("{prefix}{name}");
        assert_eq!(
            keys(&pages),
            [below("b"), below("e")],
            "{max_keys} in a page"
        );
        assert_eq!(
            prefixes(&pages),
            [below("a/"), below("c/")],
            "{max_keys} in a page"
        );
        let fits = |page: &ListPage| page.objects.len() + page.common_prefixes.len();
        assert!(pages.iter().all(|page| fits(page) <= max_keys as usize));
    }
}

pub async fn a_prefix_need_not_end_in_a_slash(server: &Server) {
    for name in ["ab", "abc", "abd/e", "ac", "a"] {
        server.put(&format!("part/{name}"), "x").await;
    }
    assert_eq!(server.names("part/ab").await, ["", "c", "d/e"]);
    let options = ListOptions {
        prefix: server.key("part/ab").as_str().to_owned(),
        delimiter: true,
        ..ListOptions::default()
    };
    let pages = server.pages(options).await;
    assert_eq!(prefixes(&pages), [server.key("part/abd/").as_str()]);
    assert_eq!(server.names("part/nothing").await, Vec::<String>::new());
    assert_eq!(server.names("party/").await, Vec::<String>::new());
}

pub async fn a_listing_agrees_with_head(server: &Server) {
    server.put("agree/empty", "").await;
    server.put("agree/some", "some").await;
    let options = ListOptions {
        prefix: server.key("agree/").as_str().to_owned(),
        ..ListOptions::default()
    };
    let pages = server.pages(options).await;
    assert_eq!(keys(&pages).len(), 2);
    for listed in pages.iter().flat_map(|page| &page.objects) {
        let name = &listed.key[server.prefix.len()..];
        let info = server.head(name).await.unwrap();
        assert_eq!(
            (listed.size, &listed.etag),
            (info.size, &info.etag),
            "{name}"
        );
        assert_eq!(
            listed.last_modified.secs(),
            info.last_modified.secs(),
            "{name}"
        );
    }
}
