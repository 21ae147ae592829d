//! The way to the bucket: credentials, endpoint, certificate, clock, region.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::{at, without};
use crate::doctor_report::doctor;
use crate::minio::Minio;
use crate::modes;

#[test]
fn wrong_credentials_are_told_from_everything_else() {
    let bucket = Minio::shared().bucket("doctor");
    for (name, value, words) in [
        (
            "AWS_ACCESS_KEY_ID",
            "nobody-has-it",
            "check AWS_ACCESS_KEY_ID",
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "not-this-one",
            "check AWS_SECRET_ACCESS_KEY",
        ),
    ] {
        let mut source = modes::sse_s3().source(&bucket);
        source.environment.push((name.to_owned(), value.to_owned()));
        let found = doctor(&source, &[]);
        assert_eq!(found.with("fail"), ["signature"], "{found:#?}");
        assert!(found.message("signature").contains(words), "{found:#?}");
        for check in ["endpoint", "TLS", "clock"] {
            assert_eq!(found.status(check), "ok", "{check}");
        }
    }
    let mut source = modes::sse_s3().source(&bucket);
    source.environment.clear();
    let found = doctor(&source, &[]);
    assert_eq!(found.with("fail"), ["credentials"], "{found:#?}");
    assert!(
        found
            .message("credentials")
            .contains("set AWS_ACCESS_KEY_ID")
    );
    assert_eq!(found.status("bucket"), "skipped");
}

#[test]
fn a_server_that_is_not_trusted_and_one_that_is_not_there() {
    let bucket = Minio::shared().bucket("doctor");
    let untrusted = doctor(&without(bucket.source(), "--ca-bundle"), &[]);
    assert_eq!(untrusted.with("fail"), ["TLS"], "{untrusted:#?}");
    assert_eq!(untrusted.status("endpoint"), "ok");
    assert!(
        untrusted
            .message("TLS")
            .ends_with("give the certificate of its CA with --ca-bundle FILE or AWS_CA_BUNDLE"),
        "{untrusted:#?}"
    );

    // Another certificate, and none at all.
    let place = tempfile::tempdir().expect("a directory");
    let other = place.path().join("other.crt");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=another", "-keyout", "/dev/null", "-out"])
        .arg(&other)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    let with = |file: &Path| {
        let mut source = without(bucket.source(), "--ca-bundle");
        let file = file.display().to_string();
        source.options.extend(["--ca-bundle".to_owned(), file]);
        doctor(&source, &[])
    };
    let wrong = with(&other);
    assert_eq!(wrong.with("fail"), ["TLS"], "{wrong:#?}");
    assert!(
        wrong.message("TLS").contains("is not trusted"),
        "{wrong:#?}"
    );
    let missing = with(&place.path().join("none"));
    assert_eq!(missing.with("fail"), ["TLS"], "{missing:#?}");
    assert!(
        missing
            .message("TLS")
            .starts_with("cannot read the CA bundle"),
        "{missing:#?}"
    );

    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let unreachable = doctor(&at(&format!("https://{address}"), &bucket), &[]);
    assert_eq!(unreachable.with("fail"), ["endpoint"], "{unreachable:#?}");
    assert!(
        unreachable
            .message("endpoint")
            .contains("refused the connection"),
        "{unreachable:#?}"
    );
    assert_eq!(unreachable.status("FUSE"), "ok", "it stands by itself");
}

/// A server that takes connections and never answers.
#[test]
fn silence_ends_with_the_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address");
    let bucket = Minio::shared().existing("any");
    let began = Instant::now();
    let found = doctor(
        &at(&format!("http://{address}"), &bucket),
        &["--timeout", "2"],
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(found.with("fail"), ["endpoint"], "{found:#?}");
    assert!(
        found
            .message("endpoint")
            .ends_with("did not answer within 2 s; check --endpoint-url and the network"),
        "{found:#?}"
    );
    drop(silent);
}

/// A server of the test's own, whose clock is off by so many seconds; it answers every request
/// with this.
fn server(clock: i64, status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            thread::spawn(move || answer_all(&stream, clock, status, body));
        }
    });
    format!("http://{address}")
}

fn answer_all(mut stream: &TcpStream, clock: i64, status: &str, body: &str) {
    let mut lines = BufReader::new(stream.try_clone().expect("a second descriptor")).lines();
    while let Some(Ok(line)) = lines.next() {
        if !line.is_empty() {
            continue;
        }
        let now = SystemTime::now();
        let apart = Duration::from_secs(clock.unsigned_abs());
        let date = httpdate::fmt_http_date(if clock < 0 { now - apart } else { now + apart });
        let length = body.len();
        let sent = stream.write_all(
            format!("HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-length: {length}\r\n\r\n{body}")
                .as_bytes(),
        );
        if sent.is_err() {
            return;
        }
    }
}

#[test]
fn a_clock_that_is_off_is_told_with_the_direction() {
    const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>";
    const LIST: &str = "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
    let bucket = Minio::shared().existing("any");
    let found = |endpoint: &str| doctor(&at(endpoint, &bucket), &["--read-only", "--timeout", "5"]);
    let refused = found(&server(3600, "403 Forbidden", SKEWED));
    assert_eq!(refused.with("fail"), ["clock"], "{refused:#?}");
    assert_eq!(
        refused.message("clock"),
        "this machine's clock is 60 minutes behind the server's, and S3 refuses requests that are 15 minutes off: set it, for example with NTP"
    );
    assert_eq!(refused.status("bucket"), "skipped");
    let off = found(&server(-300, "200 OK", LIST));
    assert_eq!(off.status("clock"), "warn", "{off:#?}");
    assert!(
        off.message("clock").contains("5 minutes ahead of"),
        "{off:#?}"
    );
    let right = found(&server(0, "200 OK", LIST));
    assert_eq!(right.status("clock"), "ok", "{right:#?}");
}

#[test]
fn a_bucket_in_another_region_is_told_with_its_region() {
    const ELSEWHERE: &str = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>";
    let bucket = Minio::shared().existing("any");
    let source = at(&server(0, "400 Bad Request", ELSEWHERE), &bucket);
    let found = doctor(&source, &[]);
    assert_eq!(found.with("fail"), ["region"], "{found:#?}");
    assert!(
        found.message("region").contains("give --region eu-west-1"),
        "{found:#?}"
    );
}
