//! TLS of checks and hooks, by rustls with the ring provider.

use std::fmt;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::finding::{Finding, describe};
use super::target::Deadline;
use crate::config::check::TlsConfig;
use crate::topology::status::CheckStatus;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// Whom the system trusts, read once. Certificates that cannot be read are left out, as one
/// odd file should not fail all checks.
static SYSTEM_ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let certificates = rustls_native_certs::load_native_certs().certs;
    Arc::new(roots(certificates))
});

fn roots(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}

/// What a check's or a hook's TLS connections have in common.
#[derive(Clone)]
pub(crate) struct TlsClient {
    /// Or why there can be none.
    config: Result<Arc<ClientConfig>, String>,
    sni: Option<ServerName<'static>>,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsClient({:?})", self.sni)
    }
}

impl TlsClient {
    pub(crate) fn new(tls: &TlsConfig) -> Self {
        Self {
            config: client_config(tls),
            sni: tls.sni.clone(),
        }
    }

    /// For checks that ask for the server's first words only.
    pub(super) fn for_hello(sni: Option<ServerName<'static>>) -> Self {
        Self::new(&TlsConfig {
            verify: false,
            ca: None,
            sni,
        })
    }

    /// Agrees on TLS over `stream` with the server called `host`.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
        deadline: Deadline,
    ) -> Result<TlsStream<S>, Finding> {
        let (config, name) = self.session(host)?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        match deadline.wait(handshake).await {
            None => Err(Finding::new(
                CheckStatus::L6Timeout,
                deadline.passed("TLS was not agreed on"),
            )),
            Some(Err(error)) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                let info = inner.map_or_else(|| describe(&error), explain);
                Err(Finding::new(CheckStatus::L6Response, info))
            }
            Some(Ok(stream)) => Ok(stream),
        }
    }

    /// A `ClientHello` for the server called `host`, in its record.
    pub(super) fn hello(&self, host: &str) -> Result<Vec<u8>, Finding> {
        let (config, name) = self.session(host)?;
        let mut hello = Vec::new();
        let mut connection = ClientConnection::new(config, name).map_err(not_usable)?;
        connection.write_tls(&mut hello).map_err(not_usable)?;
        Ok(hello)
    }

    fn session(&self, host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>), Finding> {
        let config = self.config.clone().map_err(not_usable)?;
        let name = match &self.sni {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(not_usable)?,
        };
        Ok((config, name))
    }
}

fn not_usable(error: impl fmt::Display) -> Finding {
    Finding::new(CheckStatus::SocketError, format!("TLS: {error}"))
}

/// What went wrong, with what to do where that is known.
fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate is not signed by anyone trusted; name the signer's file in `ca`"
                .to_owned()
        }
        Error::InvalidMessage(_) => "the answer is not TLS".to_owned(),
        other => other.to_string(),
    }
}

fn client_config(tls: &TlsConfig) -> Result<Arc<ClientConfig>, String> {
    let verifier = verifier(tls)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A check asks whether a new client could connect, and 10,000 of them keep no tickets.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// For a connection to which nothing secret goes: any certificate will do.
///
/// # Errors
/// When TLS cannot be had at all.
pub fn any_certificate() -> Result<Arc<ClientConfig>, String> {
    client_config(&TlsConfig {
        verify: false,
        ca: None,
        sni: None,
    })
}

fn verifier(tls: &TlsConfig) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if !tls.verify {
        return Ok(Arc::new(AnyCertificate));
    }
    let trusted = match &tls.ca {
        Some(file) => Arc::new(roots(file.certificates.iter().cloned())),
        None => Arc::clone(&SYSTEM_ROOTS),
    };
    if trusted.is_empty() {
        return Err("this machine has no CA certificates; install them or give `ca`".to_owned());
    }
    let builder = WebPkiServerVerifier::builder_with_provider(trusted, Arc::clone(&PROVIDER));
    builder
        .build()
        .map(|verifier| verifier as _)
        .map_err(|error| error.to_string())
}

/// `verify = false`: any certificate will do, as long as its owner uses it.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER
            .signature_verification_algorithms
            .supported_schemes()
    }
}
