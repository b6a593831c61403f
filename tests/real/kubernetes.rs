//! The manifests of `configs/kubernetes` against the schemas that Kubernetes publishes.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::temp::TempDir;
use crate::programs::{Need, find, trial};

const MANIFEST: &str = "configs/kubernetes/backstop.yaml";

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Program("kubernetes-validate")];
    vec![trial("kubernetes::the_manifest_is_valid", &needs, valid)]
}

/// What is said of a file, and whether all of it is valid. Unknown keys are faults.
fn validate(path: &str) -> (bool, String) {
    let program = find("kubernetes-validate").expect("installed");
    let mut command = Command::new(program);
    let output = command.args(["--strict", path]).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

fn valid() {
    let (passed, said) = validate(MANIFEST);
    assert!(passed, "{said}");
    let text = fs::read_to_string(MANIFEST).expect("the manifest");
    let documents = text.split("\n---\n").count();
    assert_eq!(
        said.matches(" passed for resource ").count(),
        documents,
        "{said}"
    );
    let directory = TempDir::new();
    let misspelt = text.replace("minAvailable", "minAvailible");
    let path = directory.write("misspelt.yaml", &misspelt);
    let (passed, said) = validate(path.to_str().expect("UTF-8"));
    assert!(!passed && said.contains("minAvailible"), "{said}");
}
