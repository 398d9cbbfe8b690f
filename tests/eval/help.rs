//! What people read: help texts and errors.

use super::support::*;
use insta::assert_snapshot;

fn help(arguments: &[&str]) -> String {
    let output = kinstr().args(arguments).arg("--help").output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_texts() {
    assert_snapshot!("help", help(&[]));
    assert_snapshot!("help_eval", help(&["eval"]));
    assert_snapshot!("help_opt", help(&["opt"]));
}

#[test]
fn malformed_mlir() {
    assert_snapshot!(
        Case::new("func.func @double(%x: memref<?xf32>) {\n  %0 = arith.addf %x\n}\n").eval().stderr
    );
}

#[test]
fn a_signature_that_does_not_fit() {
    let candidate = "func.func @double(%x: memref<?xf64>, %y: memref<?xf32>) {\n  return\n}\n";
    assert_snapshot!(Case::new(candidate).eval().stderr);
}
