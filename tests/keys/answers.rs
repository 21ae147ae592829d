//! Answers of a KMS that denies, throttles, fails or is silent.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use cloakfs::keys::kms::{KmsError, KmsErrorKind, ResolvedKey};

use crate::fake::FakeKms;
use crate::fake_http::Request;
use crate::{REGION, config};

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// Long enough for an answer of this machine.
const TIMEOUT: Duration = Duration::from_secs(30);

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn error(status: &str, code: &str, message: &str) -> String {
    let body = format!("{{\"__type\":\"{code}\",\"message\":\"{message}\"}}");
    answer(status, &body)
}

fn enabled() -> String {
    let key = format!(
        "{{\"KeyMetadata\":{{\"KeyId\":\"{ID}\",\"Arn\":\"{ARN}\",\"Enabled\":true,\"KeyState\":\"Enabled\",\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"KeySpec\":\"SYMMETRIC_DEFAULT\"}}}}"
    );
    answer("200 OK", &key)
}

async fn ask(fake: &FakeKms, name: &str, timeout: Duration) -> Result<ResolvedKey, KmsError> {
    let kms = crate::kms(&config(&fake.endpoint)).await;
    kms.resolve_for_s3(name, REGION, timeout).await
}

/// The error for the key [`ID`] when all answers are `answer`; asserts that it has a source and
/// how often was asked.
async fn refused(answer: String) -> (KmsErrorKind, String, usize) {
    let fake = FakeKms::start(move |_| answer.clone()).await;
    let error = ask(&fake, ID, TIMEOUT).await.unwrap_err();
    let sentence = error.to_string().replace(&fake.endpoint, "http://FAKE");
    assert!(error.source().is_some(), "{error:?}");
    (error.kind(), sentence, fake.requests().len())
}

fn about(reason: &str) -> String {
    format!("the KMS key \"{ID}\" cannot be looked at: {reason}")
}

#[tokio::test]
async fn one_request_asks_for_the_key() {
    let fake = FakeKms::start(|_| enabled()).await;
    let key = ask(&fake, "alias/a", TIMEOUT).await.unwrap();
    assert_eq!(key.arn, ARN);
    let [request]: [Request; 1] = fake.requests().try_into().unwrap();
    assert_eq!((&*request.method, &*request.target), ("POST", "/"));
    assert_eq!(
        request.header("x-amz-target"),
        Some("TrentService.DescribeKey")
    );
    assert_eq!(request.body, b"{\"KeyId\":\"alias/a\"}");
}

#[tokio::test]
async fn who_may_not_look_at_a_key_may_use_it_but_no_alias() {
    let denied = || {
        error(
            "400 Bad Request",
            "AccessDeniedException",
            "User: u is not authorized to perform: kms:DescribeKey",
        )
    };
    let fake = FakeKms::start(move |_| denied()).await;
    for name in [ID, ARN] {
        let key = ask(&fake, name, TIMEOUT).await.unwrap();
        assert_eq!(key.arn, name);
        assert_eq!(
            key.notes,
            [format!(
                "the KMS key \"{name}\" cannot be looked at, since KMS at {} denies it (User: u is not authorized to perform: kms:DescribeKey): allow kms:DescribeKey to these credentials, in the key's policy too; the key is used as given, and whether it works will be seen when something is written",
                fake.endpoint
            )]
        );
    }
    let alias_arn = "arn:aws:kms:us-east-1:111122223333:alias/a";
    for name in ["alias/a", alias_arn] {
        let error = ask(&fake, name, TIMEOUT).await.unwrap_err();
        assert_eq!(error.kind(), KmsErrorKind::Denied);
        assert_eq!(
            error.to_string(),
            format!(
                "the KMS alias \"{name}\" cannot be looked at, since KMS at {} denies it (User: u is not authorized to perform: kms:DescribeKey): allow kms:DescribeKey to these credentials, in the key's policy too",
                fake.endpoint
            )
        );
    }
    assert_eq!(fake.requests().len(), 4, "a denial is not asked again");
}

#[tokio::test]
async fn an_arn_of_another_region_is_refused_without_a_request() {
    let fake = FakeKms::start(|_| enabled()).await;
    let arn = ARN.replace("us-east-1", "eu-west-1");
    let error = ask(&fake, &arn, TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), KmsErrorKind::Unsuitable);
    assert_eq!(fake.requests().len(), 0);
}

#[tokio::test]
async fn throttling_and_faults_pass() {
    for passing in [
        error("400 Bad Request", "ThrottlingException", "Rate exceeded"),
        error("500 Internal Server Error", "KMSInternalException", "Oops"),
        answer("503 Service Unavailable", "no JSON"),
    ] {
        let count = AtomicUsize::new(0);
        let fake = FakeKms::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => passing.clone(),
            _ => enabled(),
        })
        .await;
        assert_eq!(ask(&fake, ID, TIMEOUT).await.unwrap().arn, ARN);
        assert_eq!(fake.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let fake = FakeKms::start_after(3, |_| enabled()).await;
    assert_eq!(ask(&fake, ID, TIMEOUT).await.unwrap().arn, ARN);
    assert_eq!(fake.requests().len(), 1);
    let fake = FakeKms::start_after(usize::MAX, |_| enabled()).await;
    let error = ask(&fake, ID, Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), KmsErrorKind::Disconnected);
    assert!(
        error.to_string().ends_with(" (asked again for 0.3 s)"),
        "{error}"
    );
}

/// What is told at the deadline, `keys::kms` tests without a clock; here that it comes at all.
#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let fake = FakeKms::start(|_| String::new()).await;
    let error = ask(&fake, ID, Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), KmsErrorKind::TimedOut);
    assert!(fake.requests().len() <= 1);
}

#[tokio::test]
async fn wrong_credentials_and_names_are_told_at_once() {
    for (code, kind, sentence) in [
        (
            "UnrecognizedClientException",
            KmsErrorKind::Credentials,
            "KMS at http://FAKE does not accept the AWS credentials (words): check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN or the profile, and that they belong to this endpoint".to_owned(),
        ),
        (
            "InvalidSignatureException",
            KmsErrorKind::Credentials,
            "KMS at http://FAKE does not accept the AWS credentials (words): check AWS_SECRET_ACCESS_KEY or the profile, and this machine's clock".to_owned(),
        ),
        (
            "ExpiredTokenException",
            KmsErrorKind::Credentials,
            "KMS at http://FAKE does not accept the AWS credentials (words): renew them (for SSO with `aws sso login`), and check this machine's clock".to_owned(),
        ),
        (
            "MissingAuthenticationTokenException",
            KmsErrorKind::Credentials,
            "KMS at http://FAKE does not accept the AWS credentials (words): check the profile, and that the endpoint is one of KMS".to_owned(),
        ),
        (
            "OptInRequired",
            KmsErrorKind::Credentials,
            "KMS at http://FAKE does not accept the AWS credentials (words): this account must be enabled for KMS in this region".to_owned(),
        ),
        (
            "ValidationException",
            KmsErrorKind::Unsuitable,
            format!("the KMS key \"{ID}\" is not a name that KMS takes (words): give a key's id or ARN, or an alias as alias/NAME"),
        ),
        (
            "UnknownOperationException",
            KmsErrorKind::Unreachable,
            about("KMS at http://FAKE answered UnknownOperationException: words; check the endpoint that --kms-endpoint-url names"),
        ),
    ] {
        let answer = error("400 Bad Request", code, "words");
        let (told, told_sentence, asked) = refused(answer).await;
        assert_eq!((told, told_sentence, asked), (kind, sentence, 1), "{code}");
    }
}

#[tokio::test]
async fn another_kind_of_server_is_told() {
    for status in ["200 OK", "404 Not Found"] {
        let (kind, sentence, asked) = refused(answer(status, "<html></html>")).await;
        assert_eq!(kind, KmsErrorKind::Unreachable);
        assert_eq!(
            sentence,
            about(&format!(
                "KMS at http://FAKE gives no answer of KMS (the answer was {}); check the endpoint that --kms-endpoint-url names",
                &status[..3]
            ))
        );
        assert_eq!(asked, 1);
    }
    let fake = FakeKms::start(|_| answer("200 OK", "{}")).await;
    assert_eq!(
        ask(&fake, ID, TIMEOUT).await.unwrap_err().to_string(),
        about("the answer has no ARN, so it is none of KMS")
    );
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_told_at_once() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = closed.local_addr().unwrap();
    drop(closed);
    let kms = crate::kms(&config(&format!("http://{host}"))).await;
    let error = kms.resolve_for_s3(ID, REGION, TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), KmsErrorKind::Unreachable);
    assert_eq!(
        error.to_string(),
        about(&format!(
            "KMS cannot be asked: {host} refused the connection: check that the server is running and that the endpoint's host and port are right"
        ))
    );
}

/// There were credentials, and there are none any more.
#[derive(Debug, Default)]
struct Lost(AtomicUsize);

impl ProvideCredentials for Lost {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(Credentials::new("a", "b", None, None, "test")),
            _ => Err(CredentialsError::provider_error("the session is over")),
        })
    }
}

#[tokio::test]
async fn lost_credentials_are_told() {
    let fake = FakeKms::start(|_| enabled()).await;
    let mut config = config(&fake.endpoint);
    config.credentials = Some(SharedCredentialsProvider::new(Lost::default()));
    let kms = crate::kms(&config).await;
    let error = kms.resolve_for_s3(ID, REGION, TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), KmsErrorKind::Credentials);
    assert_eq!(
        error.to_string(),
        about("the source of the AWS credentials failed: the session is over")
    );
    assert_eq!(fake.requests().len(), 0);
}
