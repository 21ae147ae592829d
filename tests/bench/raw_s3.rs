//! The SDK alone: writes one large object and reads it back, as `scripts/bench` compares with.
//!
//! Eight requests of 8 MiB at a time: a multipart upload, then ranged reads. What is read is
//! counted and dropped. Prints `write SECONDS` and `read SECONDS`.
//!
//! usage: raw_s3 ENDPOINT CA_FILE BUCKET KEY FILE, with credentials in the environment

use std::os::unix::fs::FileExt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::{Builder, tls};
use futures_util::{StreamExt, TryStreamExt, stream};

const PART_BYTES: u64 = 8 << 20;
const AT_A_TIME: usize = 8;

#[expect(clippy::print_stdout, reason = "the figures are the output")]
#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, ca, bucket, key, path] = &arguments[..] else {
        anyhow::bail!("usage: raw_s3 ENDPOINT CA_FILE BUCKET KEY FILE");
    };
    let client = client(endpoint, &std::fs::read(ca)?).await?;
    let file = std::fs::File::open(path).with_context(|| format!("opening {path}"))?;
    let length = file.metadata()?.len();

    let started = Instant::now();
    write(&client, bucket, key, &file, length).await?;
    println!("write {:.2}", started.elapsed().as_secs_f64());

    let started = Instant::now();
    ensure!(
        read(&client, bucket, key, length).await? == length,
        "the object is too short"
    );
    println!("read {:.2}", started.elapsed().as_secs_f64());
    Ok(())
}

async fn client(endpoint: &str, ca: &[u8]) -> Result<Client> {
    let trusted = tls::TlsContext::builder()
        .with_trust_store(tls::TrustStore::empty().with_pem_certificate(ca))
        .build()?;
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .tls_context(trusted)
        .build_https();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .http_client(http)
        .load()
        .await;
    let config = aws_sdk_s3::config::Builder::from(&config)
        .force_path_style(true)
        .build();
    Ok(Client::from_conf(config))
}

async fn write(
    client: &Client,
    bucket: &str,
    key: &str,
    file: &std::fs::File,
    length: u64,
) -> Result<()> {
    let upload = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .send()
        .await?;
    let upload = upload.upload_id().context("an upload id")?;
    let parts: Vec<CompletedPart> = stream::iter(1..)
        .zip(stream::iter(
            (0..length).step_by(usize::try_from(PART_BYTES)?),
        ))
        .map(|(number, start): (i32, u64)| async move {
            let mut body = vec![0; usize::try_from(PART_BYTES.min(length - start))?];
            file.read_exact_at(&mut body, start)?;
            let part = client
                .upload_part()
                .bucket(bucket)
                .key(key)
                .upload_id(upload)
                .part_number(number)
                .body(ByteStream::from(body))
                .send()
                .await?;
            let tag = part.e_tag().context("an ETag")?;
            Ok::<_, anyhow::Error>(
                CompletedPart::builder()
                    .part_number(number)
                    .e_tag(tag)
                    .set_checksum_crc32(part.checksum_crc32().map(String::from))
                    .build(),
            )
        })
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(upload)
        .multipart_upload(
            CompletedMultipartUpload::builder()
                .set_parts(Some(parts))
                .build(),
        )
        .send()
        .await?;
    Ok(())
}

async fn read(client: &Client, bucket: &str, key: &str, length: u64) -> Result<u64> {
    stream::iter((0..length).step_by(usize::try_from(PART_BYTES)?))
        .map(|start| async move {
            let range = format!("bytes={start}-{}", (start + PART_BYTES).min(length) - 1);
            let part = client
                .get_object()
                .bucket(bucket)
                .key(key)
                .range(range)
                .send()
                .await?;
            let mut body = part.body;
            let mut bytes = 0;
            while let Some(chunk) = body.try_next().await? {
                bytes += chunk.len() as u64;
            }
            Ok::<_, anyhow::Error>(bytes)
        })
        .buffer_unordered(AT_A_TIME)
        .try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
        .await
}
