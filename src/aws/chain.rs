//! Endpoints, region and credentials.
//!
//! What is not given comes from the standard AWS chain: environment, profile files (SSO,
//! `credential_process` and assumed roles among them), web identity, container and instance
//! metadata. Credentials are looked up once by [`Aws::find`], so that a mount without any fails
//! there, and refreshed while mounted.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::imds;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;

use super::credentials::CredentialsFault;
use super::endpoint::{Endpoint, check_endpoint};
use super::transport::Transport;
use super::trust::CaBundleError;

/// Instance metadata answers within milliseconds where there is any.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// Where neither the configuration nor the instance names a region.
const DEFAULT_REGION: &str = "us-east-1";

/// What is given about the way to AWS, or to a server that speaks its protocols.
#[derive(Clone, Debug)]
pub struct AwsConfig {
    /// S3; `None`: the chain's, else Amazon S3's own.
    pub endpoint_url: Option<String>,
    /// KMS; `None`: the chain's own for KMS, else Amazon KMS's, unless S3's is somebody else's.
    pub kms_endpoint_url: Option<String>,
    pub region: Option<String>,
    /// Credentials of this profile and no others; its region unless the environment names one.
    pub profile: Option<String>,
    /// Instead of the chain's, for a caller that holds its own.
    pub credentials: Option<SharedCredentialsProvider>,
    /// Certificates to trust besides the system's; `None`: the file in `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// For looking up the credentials.
    pub timeout: Duration,
}

impl Default for AwsConfig {
    /// Everything from the AWS chain, 60 s.
    fn default() -> Self {
        Self {
            endpoint_url: None,
            kms_endpoint_url: None,
            region: None,
            profile: None,
            credentials: None,
            ca_bundle: None,
            timeout: Duration::from_mins(1),
        }
    }
}

/// Why nothing can even be asked. Each message is a whole sentence for the person who
/// mounts.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    #[error("{}", super::credentials::NONE)]
    NoCredentials { source: CredentialsError },
    #[error(
        "no AWS credentials were found: the profile \"{profile}\" is not in the AWS configuration files or names no credentials; check its name, or leave --profile out to use the environment"
    )]
    NoCredentialsInProfile {
        profile: String,
        source: CredentialsError,
    },
    #[error("{message}")]
    Credentials {
        message: String,
        source: CredentialsError,
    },
    #[error(
        "the source of the AWS credentials gave none within {} s: check the credential process, the SSO session or the network",
        timeout.as_secs()
    )]
    CredentialsTimeout { timeout: Duration },
    #[error("\"{0}\" is not an endpoint: write it as http://HOST[:PORT] or https://HOST[:PORT]")]
    BadEndpoint(String),
    #[error(transparent)]
    CaBundle(#[from] CaBundleError),
}

/// How this process speaks to AWS: the HTTP client, credentials, region and endpoints that the
/// clients of all services share. Clones share the connections and the credentials.
#[derive(Clone, Debug)]
pub struct Aws {
    sdk: SdkConfig,
    s3: Endpoint,
    kms: Option<Endpoint>,
}

impl Aws {
    /// Finds endpoints, region and credentials; makes no request to a service.
    ///
    /// # Errors
    /// When there are no credentials, or an endpoint or the CA bundle make no sense.
    pub async fn find(config: &AwsConfig) -> Result<Self, AwsError> {
        let ca_bundle = config.ca_bundle.clone().or_else(|| {
            std::env::var_os("AWS_CA_BUNDLE")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        });
        let transport = Transport::new(ca_bundle.as_deref())?;
        let sdk = load(config, &transport).await?;
        let region = sdk
            .region()
            .map_or_else(|| DEFAULT_REGION.to_owned(), ToString::to_string);
        let given = config.endpoint_url.clone();
        let s3 = Endpoint {
            url: checked(given.or_else(|| chain_endpoint(&sdk, "S3").or_else(|| general(&sdk))))?,
            region: region.clone(),
        };
        let given = config.kms_endpoint_url.clone();
        let url = checked(given.or_else(|| chain_endpoint(&sdk, "KMS")))?;
        let kms = (url.is_some() || s3.is_amazon()).then_some(Endpoint { url, region });
        Ok(Self { sdk, s3, kms })
    }

    /// What a service's client is built from. Retries and timeouts are off in it: who asks has
    /// a deadline.
    #[must_use]
    pub fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    #[must_use]
    pub fn s3(&self) -> &Endpoint {
        &self.s3
    }

    /// Where KMS is asked; `None` where that is not known, because S3 is not Amazon's and no
    /// endpoint of KMS was given.
    #[must_use]
    pub fn kms(&self) -> Option<&Endpoint> {
        self.kms.as_ref()
    }
}

fn checked(url: Option<String>) -> Result<Option<String>, AwsError> {
    url.map(|url| check_endpoint(&url)).transpose()
}

async fn load(config: &AwsConfig, transport: &Transport) -> Result<SdkConfig, AwsError> {
    let metadata = imds::Client::builder()
        .max_attempts(1)
        .operation_timeout(METADATA_TIMEOUT)
        .build();
    let region = find_region(config, &metadata).await;
    let credentials = match &config.credentials {
        Some(own) => own.clone(),
        None => chain_credentials(config, transport, metadata, region.clone()).await,
    };
    match tokio::time::timeout(config.timeout, credentials.provide_credentials()).await {
        Ok(Ok(_found)) => {}
        Ok(Err(source @ CredentialsError::CredentialsNotLoaded(_))) => {
            return Err(match config.profile.clone() {
                Some(profile) if config.credentials.is_none() => {
                    AwsError::NoCredentialsInProfile { profile, source }
                }
                _ => AwsError::NoCredentials { source },
            });
        }
        Ok(Err(source)) => {
            let message = CredentialsFault::of(&source).to_string();
            return Err(AwsError::Credentials { message, source });
        }
        Err(_elapsed) => {
            return Err(AwsError::CredentialsTimeout {
                timeout: config.timeout,
            });
        }
    }
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(transport.clone())
        .region(region)
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::lazy().load_timeout(config.timeout).build())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

/// The standard chain, or the named profile alone: like the AWS command line, a profile that was
/// asked for is not overridden by what is in the environment.
async fn chain_credentials(
    config: &AwsConfig,
    transport: &Transport,
    metadata: imds::Client,
    region: Region,
) -> SharedCredentialsProvider {
    let provider = ProviderConfig::default().with_http_client(transport.clone());
    match &config.profile {
        Some(profile) => SharedCredentialsProvider::new(
            ProfileFileCredentialsProvider::builder()
                .configure(&provider.with_region(Some(region)))
                .profile_name(profile)
                .build(),
        ),
        None => SharedCredentialsProvider::new(
            DefaultCredentialsChain::builder()
                .configure(provider)
                .imds_client(metadata)
                .region(region)
                .build()
                .await,
        ),
    }
}

/// The region as this machine's configuration names it: given, environment, profile. Nobody is
/// asked.
pub async fn configured_region(given: Option<&str>, profile: Option<&str>) -> Option<String> {
    let region = named_region(given, profile).region().await;
    region.map(|region| region.to_string())
}

fn named_region(given: Option<&str>, profile: Option<&str>) -> RegionProviderChain {
    let mut of_profile = ProfileFileRegionProvider::builder();
    if let Some(name) = profile {
        of_profile = of_profile.profile_name(name);
    }
    RegionProviderChain::first_try(given.map(|region| Region::new(region.to_owned())))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(of_profile.build())
}

/// The region: as it is configured, and on Amazon's own endpoint the instance's.
async fn find_region(config: &AwsConfig, metadata: &imds::Client) -> Region {
    let chain = named_region(config.region.as_deref(), config.profile.as_deref());
    let chain = if config.endpoint_url.is_none() {
        chain.or_else(
            imds::region::ImdsRegionProvider::builder()
                .imds_client(metadata.clone())
                .build(),
        )
    } else {
        chain
    };
    chain
        .or_else(Region::new(DEFAULT_REGION))
        .region()
        .await
        .unwrap_or_else(|| Region::new(DEFAULT_REGION))
}

/// One service's: `AWS_ENDPOINT_URL_S3`, or a profile's `services` section.
fn chain_endpoint(sdk: &SdkConfig, service: &str) -> Option<String> {
    ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()
        .and_then(|key| sdk.service_config()?.load_config(key))
}

/// That of all services: `AWS_ENDPOINT_URL`, a profile's `endpoint_url`.
fn general(sdk: &SdkConfig) -> Option<String> {
    sdk.endpoint_url().map(str::to_owned)
}
