//! Odd keys.

use cloakfs::store::{
    CopyAttributes, CopySource, DeleteOptions, ErrorKind, ListOptions, PutOptions, Store,
    WriteCondition,
};

use super::{Difference, Server, assert_fails};

/// A key of 1,024 bytes whose components are of `component` bytes.
fn longest(server: &Server, component: usize) -> String {
    let len = 1024 - server.prefix.len() - "odd/".len();
    let mut name = String::new();
    while name.len() < len {
        let separator = name.len() % (component + 1) == component && name.len() + 1 < len;
        name.push(if separator { '/' } else { 'k' });
    }
    name
}

fn odd_names(server: &Server) -> Vec<(String, Option<Difference>)> {
    let plain = [
        "a b",
        " leading and trailing ",
        "per%cent",
        "%25",
        "%2F",
        "plus+plus",
        "a+b c%20d",
        "and&less<more>\"quote'",
        "question?mark=1#hash",
        "semi;colon:comma,at@dollar$",
        "tilde~",
        "back\\slash",
        "star*|pipe",
        "[brackets]{braces}",
        "new\nline",
        "tab\tbed",
        "return\r",
        "ünïcödé",
        "日本語/ファイル",
        "🦀",
        "e\u{301}",
        "\u{e9}",
        "...",
        ".hidden",
        "a.",
        "dash-",
        "under_score",
        "^caret`tick",
        "=equals",
        "!bang()",
    ];
    let mut names: Vec<_> = plain
        .iter()
        .map(|name| ((*name).to_owned(), None))
        .collect();
    names.push((longest(server, 200), None));
    let long = Some(Difference::LongComponentsRefused);
    names.push((longest(server, 2000), long));
    names.push(("ä".repeat(200), long));
    let empty = Some(Difference::EmptyComponentsRefused);
    names.extend(["/first", "a//b", "a///b"].map(|name| (name.to_owned(), empty)));
    let dots = Some(Difference::DotComponentsRefused);
    names.extend([".", "..", "a/./b", "a/../b"].map(|name| (name.to_owned(), dots)));
    names
}

pub async fn odd_keys_round_trip(server: &Server) {
    let mut kept = vec![];
    for (at, (name, difference)) in odd_names(server).into_iter().enumerate() {
        let (name, body) = (format!("odd/{name}"), format!("object {at}"));
        if difference.is_some_and(|difference| server.differs(difference)) {
            let key = server.key(&name);
            let put = server
                .store
                .put(&key, body.into(), PutOptions::default())
                .await;
            assert_fails(put, &[ErrorKind::Invalid], &format!("{name:?}"));
            continue;
        }
        server.put(&name, body.clone()).await;
        kept.push((name, body));
    }
    for (at, (name, body)) in kept.iter().enumerate() {
        assert_eq!(server.body(name).await, body, "{name:?}");
        let source = CopySource {
            key: server.key(name),
            if_match: Some(server.head(name).await.unwrap().etag),
            version: None,
            range: None,
        };
        let copy = format!("odd-copies/{at}");
        let copied = server
            .store
            .copy(
                &server.key(&copy),
                source,
                CopyAttributes::Keep,
                WriteCondition::None,
            )
            .await;
        copied.unwrap_or_else(|error| panic!("{name:?} as a source: {error}"));
        assert_eq!(server.body(&copy).await, body, "{name:?} as a source");
    }
    let mut expected: Vec<_> = kept
        .iter()
        .map(|(name, _)| name["odd/".len()..].to_owned())
        .collect();
    expected.sort();
    assert_eq!(server.names("odd/").await, expected);
    for (name, _) in &kept {
        let key = server.key(name);
        server
            .store
            .delete(&key, DeleteOptions::default())
            .await
            .unwrap();
        assert_fails(
            server.head(name).await,
            &[ErrorKind::NotFound],
            &format!("{name:?}"),
        );
    }
    assert_eq!(server.names("odd/").await, Vec::<String>::new());
}

pub async fn an_object_beside_what_is_below_it(server: &Server) {
    for first_above in [true, false] {
        let folder = format!("beside-{first_above}/");
        let mut names = ["a", "a/b"];
        if !first_above {
            names.reverse();
        }
        for name in names {
            server.put(&format!("{folder}{name}"), name).await;
        }
        server.put(&format!("{folder}a-"), "between").await;
        for name in names {
            assert_eq!(server.body(&format!("{folder}{name}")).await, name);
        }
        let listed = server.names(&folder).await;
        if server.differs(Difference::ChildBesideObjectUnlisted) {
            assert_eq!(listed, ["a", "a-"]);
            continue;
        }
        assert_eq!(listed, ["a", "a-", "a/b"], "in byte order");
        let options = ListOptions {
            prefix: server.key(&folder).as_str().to_owned(),
            delimiter: true,
            ..ListOptions::default()
        };
        let pages = server.pages(options).await;
        assert_eq!(
            pages[0].common_prefixes,
            [server.key(&format!("{folder}a/")).as_str()]
        );
        assert_eq!(pages[0].objects.len(), 2);
        delete(server.store.as_ref(), server, &format!("{folder}a")).await;
        assert_eq!(server.body(&format!("{folder}a/b")).await, "a/b");
        delete(server.store.as_ref(), server, &format!("{folder}a/b")).await;
        assert_eq!(server.names(&folder).await, ["a-"]);
    }
}

pub async fn markers_of_directories(server: &Server) {
    server.put("marker/dir/", "").await;
    server.put("marker/dir/file", "x").await;
    server.put("marker/empty/", "").await;
    assert_eq!(server.head("marker/dir/").await.unwrap().size, 0);
    assert_eq!(
        server.names("marker/").await,
        ["dir/", "dir/file", "empty/"]
    );
    let delimited = async |folder: &str| {
        let options = ListOptions {
            prefix: server.key(folder).as_str().to_owned(),
            delimiter: true,
            ..ListOptions::default()
        };
        server.pages(options).await.remove(0)
    };
    let page = delimited("marker/").await;
    let below = |name: &str| server.key(&format!("marker/{name}")).as_str().to_owned();
    assert_eq!(page.common_prefixes, [below("dir/"), below("empty/")]);
    assert!(page.objects.is_empty());
    let page = delimited("marker/dir/").await;
    let keys: Vec<_> = page.objects.into_iter().map(|object| object.key).collect();
    assert_eq!(keys, [below("dir/"), below("dir/file")]);
    delete(server.store.as_ref(), server, "marker/dir/").await;
    assert_eq!(server.names("marker/").await, ["dir/file", "empty/"]);
}

async fn delete(store: &dyn Store, server: &Server, name: &str) {
    let deleted = store
        .delete(&server.key(name), DeleteOptions::default())
        .await;
    deleted.unwrap();
}
