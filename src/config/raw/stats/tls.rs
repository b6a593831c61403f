//! `tls` of `[stats]`: the page's certificate and key.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::fields::{At, Item, Reader};
use crate::config::hints::Kind;
use crate::config::report::Problem;
use crate::config::stats::PageTls;
use crate::config::value::Fault;

/// More than this is no certificate and no key.
const LONGEST_FILE: u64 = 1024 * 1024;

const CERT: &str =
    "name a file with the page's certificate in PEM, and those between it and a root";
const KEY: &str = "name a file with the certificate's private key in PEM";

type Chain = Vec<CertificateDer<'static>>;

pub(super) fn read(r: &mut Reader<'_>, item: Item<'_>) -> Option<PageTls> {
    let mut fields = r.table(item, Kind::PageTls)?;
    let cert = fields.require(r, "cert", |r, item| r.parsed(item, chain));
    let key = fields.require(r, "key", |r, item| r.parsed(item, key));
    fields.finish(r);
    let At {
        value: (cert, chain),
        ..
    } = cert.given()?;
    let At {
        value: (path, key),
        span,
    } = key.given()?;
    match server_config(chain, key) {
        Ok(config) => Some(PageTls {
            cert,
            key: path,
            config: Arc::new(config),
        }),
        Err(error) => {
            let problem = match error {
                rustls::Error::InconsistentKeys(_) => {
                    Problem::error("this key is not that of the certificate").help(KEY)
                }
                other => Problem::error(format!("this key cannot be used: {other}")).help(KEY),
            };
            r.problems.push(problem.at(span));
            None
        }
    }
}

fn server_config(chain: Chain, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn chain(path: &str) -> Result<(PathBuf, Chain), Fault> {
    let pem = pem(path, CERT)?;
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok((PathBuf::from(path), chain)),
        Ok(_) => Err(Fault::of("there is no certificate in this file", CERT)),
        Err(error) => Err(Fault::of(format!("this file is not PEM: {error}"), CERT)),
    }
}

fn key(path: &str) -> Result<(PathBuf, PrivateKeyDer<'static>), Fault> {
    let pem = pem(path, KEY)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Ok((PathBuf::from(path), key)),
        Err(PemError::NoItemsFound) => Err(Fault::of(
            "there is no private key in this file, or it is encrypted",
            KEY,
        )),
        // What it says of other errors may repeat a part of the file.
        Err(_) => Err(Fault::of("this file is not PEM", KEY)),
    }
}

fn pem(path: &str, help: &str) -> Result<Vec<u8>, Fault> {
    let mut pem = Vec::new();
    let read = |pem: &mut Vec<u8>| -> io::Result<usize> {
        File::open(path)?.take(LONGEST_FILE).read_to_end(pem)
    };
    match read(&mut pem) {
        Ok(_) => Ok(pem),
        Err(error) => Err(Fault::of(
            format!("this file cannot be read: {error}"),
            help,
        )),
    }
}
