//! Candidates that do not come back, each told apart.

use super::support::*;

fn external(declaration: &str, body: &str) -> Case {
    Case::new(&format!("func.func private {declaration}\n{}", kernel(body)))
}

#[test]
fn a_loop_without_end_is_timed_out() {
    let body = "
  scf.while : () -> () {
    %v = memref.load %x[%c0] : memref<?xf32>
    memref.store %v, %y[%c0] : memref<?xf32>
    %on = arith.constant true
    scf.condition(%on)
  } do { scf.yield }";
    Case::new(&kernel(body)).with(&["--timeout", "0.5"]).refused(&[
        "the candidate does not return within 0.5 s",
        "timed-out",
        "does every loop end?",
    ]);
}

#[test]
fn allocating_without_end_meets_the_memory_limit() {
    let body = "
  %bytes = arith.constant 1048576 : i64
  scf.while : () -> () {
    %p = func.call @malloc(%bytes) : (i64) -> !llvm.ptr
    func.call @bzero(%p, %bytes) : (!llvm.ptr, i64) -> ()
    %on = arith.constant true
    scf.condition(%on)
  } do { scf.yield }";
    let candidate = "func.func private @malloc(i64) -> !llvm.ptr
func.func private @bzero(!llvm.ptr, i64)
";
    Case::new(&(candidate.to_owned() + &kernel(body)))
        .with(&["--memory", "64", "--timeout", "2"])
        .refused(&["the candidate uses up its 64 MiB of memory", "freed on every call"]);
}

#[test]
fn a_temporary_that_is_too_large_is_told_of_the_memory_limit() {
    let body = "
  %m = arith.constant 100000000 : index
  %t = memref.alloc(%m) : memref<?xf32>
  linalg.fill ins(%one : f32) outs(%t : memref<?xf32>)
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %t[%i] : memref<?xf32>
    memref.store %v, %y[%i] : memref<?xf32>
  }
  memref.dealloc %t : memref<?xf32>";
    // What asked for it is not seen, but where the null led.
    Case::new(&kernel(body)).with(&["--memory", "64"]).refused(&[
        "the candidate dereferences a null pointer",
        "an allocation that fails gives null: check its size, or allow more with --memory",
    ]);
}

#[test]
fn writing_past_the_end_names_the_buffer() {
    let near = "
  scf.for %i = %c0 to %n step %c1 { memref.store %one, %y[%i] : memref<?xf32> }
  memref.store %one, %y[%n] : memref<?xf32>";
    Case::new(&kernel(near))
        .refused(&["the candidate writes right past the end of `y`", "last tile or vector"]);
    let at = |index: u32| {
        format!(
            "
  %far = arith.constant {index} : index
  memref.store %one, %y[%far] : memref<?xf32>"
        )
    };
    let far = &["the candidate writes", "400000 bytes past the end of `y`"];
    Case::new(&kernel(&at(101000))).refused(far);
    // So far that it may end in what guards the stack.
    let run = Case::new(&kernel(&at(1_000_000))).refused(&["the candidate writes"]);
    run.says(&["which is not its memory", "index arithmetic"]);
    let input = "memref.store %one, %x[%c0] : memref<?xf32>";
    Case::new(&kernel(input)).refused(&["the candidate writes to its input `x`", "inputs are read-only"]);
}

#[test]
fn leaving_is_told_from_aborting() {
    external("@exit(i32)", "%zero = arith.constant 0 : i32\n  func.call @exit(%zero) : (i32) -> ()")
        .refused(&["the candidate calls exit(0) instead of returning", "called-exit"]);
    let run =
        external("@abort()", "func.call @abort() : () -> ()").refused(&["the candidate aborts", "aborted"]);
    let layers = run.field("/layers");
    assert_eq!(layers.as_array().unwrap().len(), 6, "{layers}");
    assert_eq!(run.notes().lines().count(), 1, "{}", run.notes());
}

#[test]
fn dividing_by_zero_is_said() {
    let body = "
  %many = arith.constant 100000 : index
  %none = arith.divui %n, %many : index
  %q = arith.divui %n, %none : index
  %i = arith.index_cast %q : index to i32
  %f = arith.sitofp %i : i32 to f32
  memref.store %f, %y[%c0] : memref<?xf32>";
    Case::new(&kernel(body)).refused(&["the candidate divides an integer by zero", "guard the divisor"]);
}

#[test]
fn overflowing_the_stack_is_said() {
    let dig = "
func.func private @dig(%k: index, %y: memref<?xf32>) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f32
  %frame = memref.alloca(%c1) : memref<?xf32>
  %next = arith.addi %k, %c1 : index
  %more = func.call @dig(%next, %y) : (index, memref<?xf32>) -> f32
  memref.store %more, %y[%c0] : memref<?xf32>
  %v = arith.addf %more, %one : f32
  return %v : f32
}
";
    let body = "
  %v = func.call @dig(%c0, %y) : (index, memref<?xf32>) -> f32
  memref.store %v, %y[%c0] : memref<?xf32>";
    Case::new(&(dig.to_owned() + &kernel(body))).refused(&["the candidate overflows its stack", "recursion"]);
}

#[test]
fn what_it_calls_must_exist() {
    external("@nowhere()", "func.call @nowhere() : () -> ()").refused(&["nowhere", "libm"]);
}

#[test]
fn printing_is_noted_and_kept_from_the_output() {
    let print = "
  %letter = arith.constant 75 : i32
  %written = func.call @putchar(%letter) : (i32) -> i32";
    let case = external("@putchar(i32) -> i32", &format!("{print}{DOUBLE}"));
    let run = case.with(&["--format", "json"]).accepted();
    serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap();
    assert!(
        run.notes().contains("the candidate prints on standard output, beginning with: K"),
        "{}",
        run.notes()
    );
}

#[test]
fn what_kills_the_compiler_is_no_end_of_kinstr() {
    let large = "vector<268435456xf32>";
    let body = format!(
        "
  %c = arith.constant dense<1.0> : {large}
  %v = arith.addf %c, %c : {large}
  vector.transfer_write %v, %y[%c0] : {large}, memref<?xf32>"
    );
    Case::new(&kernel(&body)).refused(&[
        "ended the compiler with signal 6",
        "out of memory",
        "make it smaller",
    ]);
}
