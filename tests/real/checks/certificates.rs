//! A certificate authority for a test, and a server's certificate by it.

use std::path::PathBuf;
use std::process::Command;

use super::run;
use crate::harness::temp::TempDir;

/// The files of a server called `db.example`.
pub(super) struct Certificates {
    directory: TempDir,
}

impl Certificates {
    pub(super) fn new() -> Self {
        let directory = TempDir::new();
        directory.write("leaf.ext", "subjectAltName = DNS:db.example\n");
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            command
                .args(arguments.split(' '))
                .current_dir(directory.path());
            run(&mut command);
        };
        openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key \
             -out ca.pem -days 2 -subj /CN=authority",
        );
        openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key \
             -out server.csr -subj /CN=server",
        );
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile leaf.ext -out server.pem",
        );
        Self { directory }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The settings of a check that trusts the authority.
    pub(super) fn trusted(&self) -> String {
        let ca = self.path("ca.pem");
        format!(
            "tls = true, ca = \"{}\", sni = \"db.example\"",
            ca.display()
        )
    }

    /// The same for a name that the certificate is not for.
    pub(super) fn other_name(&self) -> String {
        self.trusted().replace("db.example", "other.example")
    }
}

/// The settings of a check that trusts whom the system trusts.
pub(super) const BY_SYSTEM: &str = "tls = true, sni = \"db.example\"";

/// Those of a check that trusts anyone.
pub(super) const UNVERIFIED: &str = "tls = true, verify = false, sni = \"db.example\"";
