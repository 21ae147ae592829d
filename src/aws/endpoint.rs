//! The address of a service.

use std::net::IpAddr;

use super::chain::AwsError;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `None`: Amazon's own, over https.
    pub url: Option<String>,
    pub region: String,
}

impl Endpoint {
    /// Whether requests travel encrypted. An URL that cannot be read is not taken for it.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.as_deref().is_none_or(|url| {
            let parsed = url.parse::<http::Uri>();
            parsed.is_ok_and(|url| url.scheme() == Some(&http::uri::Scheme::HTTPS))
        })
    }

    /// Whether requests do not leave this machine: the host is `localhost` or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.url.as_deref().and_then(host).is_some_and(|host| {
            let address = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || address
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        })
    }

    /// Whether this is Amazon's own service, of which more can be expected than of others.
    #[must_use]
    pub fn is_amazon(&self) -> bool {
        self.url.as_deref().is_none_or(|url| {
            host(url).is_some_and(|host| {
                host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
            })
        })
    }

    /// As a person calls it; `service` is `S3` or `KMS`.
    #[must_use]
    pub fn describe(&self, service: &str) -> String {
        match &self.url {
            Some(url) => url.clone(),
            None => format!("Amazon {service} ({})", self.region),
        }
    }

    /// Whether the host cannot carry the bucket's name before its own: an address, `localhost`,
    /// or a name without a dot.
    #[must_use]
    pub fn needs_path_style(&self) -> bool {
        self.url.as_deref().is_some_and(needs_path_style)
    }
}

/// An endpoint as it is used and shown: the scheme in lower case, no slash at the end.
///
/// # Errors
/// When it is not an http or https URL with a host.
pub(super) fn check_endpoint(url: &str) -> Result<String, AwsError> {
    let bad = || AwsError::BadEndpoint(url.to_owned());
    let parsed: http::Uri = url.parse().map_err(|_| bad())?;
    // Schemes are the same in capitals (RFC 3986), and are to whoever connects.
    let scheme = parsed.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let known_scheme = matches!(scheme.as_str(), "http" | "https");
    if !known_scheme || parsed.host().is_none_or(str::is_empty) || parsed.query().is_some() {
        return Err(bad());
    }
    let rest = url.get(scheme.len()..).ok_or_else(bad)?;
    Ok(scheme + rest.trim_end_matches('/'))
}

fn needs_path_style(url: &str) -> bool {
    host(url).is_none_or(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok() || !host.contains('.') || host.ends_with(".localhost")
    })
}

fn host(url: &str) -> Option<String> {
    url.parse::<http::Uri>()
        .ok()?
        .host()
        .map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_cannot_carry_a_bucket_name_get_path_style() {
        for url in [
            "http://127.0.0.1:9000",
            "https://[::1]:9000",
            "http://localhost:4566",
            "https://minio",
            "http://s3.localhost",
        ] {
            assert!(needs_path_style(url), "{url}");
        }
        for url in [
            "https://s3.eu-west-1.amazonaws.com",
            "https://s3.example.org:8443",
        ] {
            assert!(!needs_path_style(url), "{url}");
        }
    }

    #[test]
    fn endpoints_are_urls_with_a_host() {
        assert_eq!(
            check_endpoint("https://127.0.0.1:9000/").unwrap(),
            "https://127.0.0.1:9000"
        );
        for (given, used) in [
            ("HTTP://Host:9000/", "http://Host:9000"),
            ("hTTps://host", "https://host"),
        ] {
            assert_eq!(check_endpoint(given).unwrap(), used);
        }
        for bad in [
            "127.0.0.1:9000",
            "ftp://host",
            "https://",
            "",
            "http://h/?a=b",
            "nonsense",
        ] {
            assert_eq!(
                check_endpoint(bad).unwrap_err().to_string(),
                format!(
                    "\"{bad}\" is not an endpoint: write it as http://HOST[:PORT] or https://HOST[:PORT]"
                )
            );
        }
    }

    #[test]
    fn only_https_is_tls() {
        let endpoint = |url: Option<&str>| Endpoint {
            url: url.map(str::to_owned),
            region: "us-east-1".to_owned(),
        };
        assert!(endpoint(None).is_tls());
        assert!(endpoint(Some("https://h")).is_tls());
        assert!(endpoint(Some("HTTPS://h")).is_tls());
        for clear in ["http://h", "HTTP://h", "hTtP://h", "http:/h", ""] {
            assert!(!endpoint(Some(clear)).is_tls(), "{clear}");
        }
        assert!(endpoint(None).is_amazon());
        assert!(endpoint(Some("https://s3.eu-west-1.amazonaws.com")).is_amazon());
        assert!(!endpoint(Some("https://amazonaws.com.example.org")).is_amazon());
    }

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        let is_loopback = |url: Option<&str>| {
            Endpoint {
                url: url.map(str::to_owned),
                region: "us-east-1".to_owned(),
            }
            .is_loopback()
        };
        for near in [
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:1",
            "HTTP://LocalHost:4566",
        ] {
            assert!(is_loopback(Some(near)), "{near}");
        }
        for far in [
            "http://h",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
            "http://128.0.0.1",
            "http://[::2]",
            "http://127.0.0.1@example.org",
        ] {
            assert!(!is_loopback(Some(far)), "{far}");
        }
        assert!(!is_loopback(None));
    }
}
