//! How do merchants reach WeChat Pay over TLS, and which certificate do they show?
//!
//! Any client certificate whose key the client has gets past the handshake, and none does too: whether it is the one that a
//! call wants is for the API to say, as at WeChat Pay, where a proxy answers with a page.
mod authority;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use authority::Authority;

/// How long a client may take for its part of the handshake, real time.
const HANDSHAKE_MS_MAX: u64 = 10_000;

/// What the controls say of the listener.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
}

/// That a connection is TLS, and what it has shown.
#[derive(Debug, Clone)]
pub(crate) struct Secured {
    /// DER; the client has the key that belongs to it.
    pub(crate) certificate: Option<Arc<[u8]>>,
}

/// Ends TLS at this address, with a certificate that the authority has signed.
///
/// # Errors
/// `InvalidInput` if the authority's key cannot be read.
pub(crate) fn acceptor(authority: &Authority, addr: SocketAddr) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (certificate, key) = authority.server(addr.ip())?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(Arc::new(Anybody(provider)))
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Shakes hands, within bounds.
pub(crate) async fn shaken(
    acceptor: &TlsAcceptor,
    socket: TcpStream,
) -> io::Result<(TlsStream<TcpStream>, Secured)> {
    let shaking = acceptor.accept(socket);
    let stream = tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS_MAX), shaking).await??;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = shown.map(|certificate| Arc::from(certificate.as_ref()));
    Ok((stream, Secured { certificate }))
}

/// Takes whoever can prove that a certificate is theirs.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
