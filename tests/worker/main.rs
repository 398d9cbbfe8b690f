//! The worker, driven with candidates of every kind of bad behaviour. Each must be told apart and
//! leave no process behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod records;
mod support;

use std::time::Duration;

use kinstr::measure::{Moment, Plan, interleave};
use kinstr::worker::Fault;
use kinstr::worker::fault::CandidateFault;
use kinstr_runtime::arena::{GuardHit, Place};
use kinstr_trace::report::StopReason;
use support::*;

#[test]
fn a_candidate_reads_its_input_and_writes_its_output() {
    let mut arena = arena();
    let mut worker = start(limits(), &arena, None);
    let library = kernel("for (long i = 0; i < N; ++i) Y[i] = 2 * X[i];");
    let took = run_in(&mut worker, &library).unwrap();
    assert!(took > Duration::ZERO);
    let doubled: Vec<f32> = (0..ELEMENTS).map(|index| 2.0 * index as f32).collect();
    assert_eq!(floats(arena.bytes(1)), doubled);
    assert_eq!(arena.check_guards(), []);
    arena.poison_outputs();
    worker.run(3).unwrap();
    assert_eq!(floats(arena.bytes(1)), doubled);
    assert_eq!(worker.isolation(), [""; 0]);
    let id = worker.id();
    drop(worker);
    assert_gone(id);
}

#[test]
fn descriptors_are_dense_and_scalars_are_values() {
    use kinstr::worker::Argument;
    let arena = arena();
    let mut worker = start(limits(), &arena, None);
    let library = kernel(
        "int64_t *d = args[0]; float s; memcpy(&s, args[2], 4);
         float *y = ((Memref *)args[1])->data;
         if (d[0] == d[1]) for (int i = 0; i < 7; ++i) y[i] = d[2 + i]; y[7] = s;",
    );
    let arguments = [
        Argument::Memref { buffer: 0, shape: vec![5, 4, 50] },
        Argument::Memref { buffer: 1, shape: vec![1000] },
        Argument::Scalar { bytes: 2.5_f32.to_le_bytes().to_vec() },
    ];
    worker.load(&library.path(), &arguments).unwrap();
    worker.run(1).unwrap();
    assert_eq!(floats(arena.bytes(1))[..8], [0.0, 5.0, 4.0, 50.0, 200.0, 50.0, 1.0, 2.5]);
}

#[test]
fn a_shape_that_does_not_fill_its_buffer_is_refused() {
    let arena = arena();
    let mut worker = start(limits(), &arena, None);
    let wrong = [kinstr::worker::Argument::Memref { buffer: 0, shape: vec![999] }];
    let fault = worker.load(&kernel("").path(), &wrong).unwrap_err();
    assert_eq!(fault.kind(), "worker-refused");
}

#[test]
fn one_element_past_the_end_is_found_by_the_canary() {
    let arena = arena();
    run_in(&mut start(limits(), &arena, None), &kernel("for (long i = 0; i <= N; ++i) Y[i] = 1;")).unwrap();
    let hits = arena.check_guards();
    assert_eq!(hits, [GuardHit { buffer: "y".into(), place: Place::After(0) }]);
    let fault: CandidateFault = hits[0].clone().into();
    assert_eq!(fault.to_string(), "writes right past the end of `y`");
}

#[test]
fn far_out_of_bounds_is_found_by_the_guard() {
    match fault("Y[N + 100000] = 1;") {
        Fault::Candidate(CandidateFault::OutOfBounds {
            buffer,
            place: Place::After(400_000),
            writing: true,
        }) => {
            assert_eq!(buffer, "y");
        }
        other => panic!("{other:?}"),
    }
    match fault("volatile float *x = X; Y[0] = x[-100000];") {
        Fault::Candidate(CandidateFault::OutOfBounds {
            buffer,
            place: Place::Before(400_000),
            writing: false,
        }) => {
            assert_eq!(buffer, "x");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_bad_access_has_its_name() {
    let said = |body: &str| {
        let fault = fault(body);
        format!("{}: {fault}", fault.kind())
    };
    assert_eq!(said("X[3] = 1;"), "writes-input: writes to its input `x`, 12 bytes from its start");
    assert_eq!(
        said("*(volatile int *)8 = 1;"),
        "null-dereference: dereferences a null pointer (address 0x8)"
    );
    assert_eq!(
        said("*(volatile int *)0x123456789000 = 1;"),
        "bad-address: writes address 0x123456789000, which is not its memory"
    );
    assert_eq!(fault("*(volatile int *)0xdead000000000000 = 1;").kind(), "invalid-access");
}

#[test]
fn each_fatal_signal_has_its_name() {
    assert_eq!(fault("volatile int seven = 7, zero = 0; Y[0] = seven / zero;").kind(), "division-by-zero");
    assert_eq!(fault("__builtin_trap();").kind(), "illegal-instruction");
    let aborted = fault(r#"fprintf(stderr, "assertion failed\n"); abort();"#);
    assert_eq!(aborted.to_string(), "aborts, last saying: assertion failed");
    assert_eq!(fault("raise(SIGUSR1);").to_string(), "is ended by signal 10");
    assert_eq!(fault("raise(SIGSEGV);").to_string(), "is ended by signal 11");
}

#[test]
fn a_deep_recursion_and_a_huge_frame_overflow_the_stack() {
    let recursion = "static volatile int on = 1;
        __attribute__((noinline)) static int dig(int n) {
            volatile char frame[1000]; frame[3] = n;
            return on ? dig(n + 1) + frame[3] : 0;
        }
        void __kinstr_entry(void **args) { Y[0] = dig(0); }";
    assert_eq!(fault_of(limits(), &compile(recursion)).kind(), "stack-overflow");
    assert_eq!(
        fault(r#"char frame[40 << 20]; frame[0] = 1; asm volatile("" :: "r"(frame) : "memory");"#).kind(),
        "stack-overflow"
    );
}

#[test]
fn leaving_instead_of_returning_is_told_from_crashing() {
    assert_eq!(fault("exit(0);").to_string(), "calls exit(0) instead of returning");
    assert_eq!(fault("_exit(3);").to_string(), "calls exit(3) instead of returning");
}

#[test]
fn an_endless_loop_is_ended_by_either_clock() {
    let request = limits_with(|limits| limits.request = Duration::from_millis(200));
    assert_eq!(fault_under(request, "for (volatile int i = 0;; ++i);").kind(), "timed-out");
    assert_eq!(
        fault_under(
            request,
            "sigset_t all; sigfillset(&all); sigprocmask(SIG_SETMASK, &all, 0); for (;;) pause();"
        )
        .kind(),
        "timed-out"
    );
    let cpu = limits_with(|limits| limits.cpu = Duration::from_millis(100));
    assert_eq!(fault_under(cpu, "for (volatile int i = 0;; ++i);").kind(), "cpu-limit");
    let wall = limits_with(|limits| limits.wall = Duration::from_millis(300));
    assert_eq!(fault_under(wall, "for (;;) pause();").kind(), "wall-limit");
}

#[test]
fn allocating_without_end_meets_the_memory_limit() {
    let limits = limits_with(|limits| limits.memory = Some(256 << 20));
    let touching = "for (;;) { char *p = malloc(1 << 20); *p = 1; }";
    assert_eq!(fault_under(limits, touching).to_string(), "uses up its 256 MiB of memory");
    let aborting = "for (;;) if (!malloc(1 << 20)) abort();";
    assert_eq!(fault_under(limits, aborting).kind(), "memory-limit");
    let spinning = "for (;;) malloc(1 << 20);";
    let limits = kinstr::worker::Limits { request: Duration::from_millis(300), ..limits };
    assert_eq!(fault_under(limits, spinning).kind(), "memory-limit");
}

#[test]
fn a_library_that_cannot_be_loaded_says_why() {
    let missing = compile("extern void nowhere(void); void __kinstr_entry(void **args) { nowhere(); }");
    let fault = fault_of_load(&missing);
    assert_eq!(fault.kind(), "does-not-load");
    assert!(fault.to_string().contains("nowhere"), "{fault}");
    assert_eq!(fault_of_load(&compile("")).kind(), "worker-refused");
    let hostile = compile("__attribute__((constructor)) static void leave(void) { _exit(0); }");
    assert_eq!(fault_of_load(&hostile).kind(), "called-exit");
}

fn fault_of_load(library: &Library) -> Fault {
    start(limits(), &arena(), None).load(&library.path(), &arguments()).unwrap_err()
}

#[test]
fn printing_megabytes_is_captured_and_harms_nothing() {
    let arena = arena();
    let mut worker = start(limits(), &arena, None);
    let library = kernel(r#"for (int i = 0; i < 200000; ++i) printf("0123456789\n"); Y[0] = 1;"#);
    run_in(&mut worker, &library).unwrap();
    worker.run(1).unwrap();
    assert!(worker.stdout().text().starts_with("0123456789\n"));
    assert_eq!(worker.stdout().total_bytes, 2 * 2_200_000);
}

#[test]
fn a_huge_file_meets_the_limit() {
    let fault = fault(r#"FILE *f = fopen("big", "w"); for (;;) fwrite(args, 8, 1, f) && fflush(f);"#);
    assert_eq!(fault.kind(), "file-size-limit");
}

#[test]
fn a_worker_cannot_fork_connect_write_elsewhere_or_signal_its_parent() {
    let arena = arena();
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("file");
    let mut worker = start(limits(), &arena, None);
    let body = format!(
        r#"Y[0] = fork(); Y[1] = vfork(); Y[2] = socket(AF_INET, SOCK_STREAM, 0); Y[3] = socket(AF_UNIX, SOCK_STREAM, 0);
        Y[4] = open("{}", O_CREAT | O_WRONLY, 0600); Y[5] = kill(getppid(), SIGTERM); Y[6] = setsid();
        Y[7] = execl("/bin/true", "true", 0); Y[8] = tgkill(getppid(), getppid(), SIGTERM);
        Y[9] = open("scratch", O_CREAT | O_WRONLY, 0600) >= 0; Y[10] = system("true");"#, // 127 as an exit status: no shell could be started
        path.display()
    );
    run_in(&mut worker, &kernel(&body)).unwrap();
    assert_eq!(
        floats(arena.bytes(1))[..11],
        [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 32512.0]
    );
    assert!(!path.exists());
}

#[test]
fn a_worker_cannot_change_other_processes_or_files_it_may_read() {
    let arena = arena();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let mode = |file: &tempfile::NamedTempFile| file.as_file().metadata().unwrap().permissions();
    let before = mode(&outside);
    let mut worker = start(limits(), &arena, None);
    let body = format!(
        r#"struct rlimit none = {{0, 0}}; unsigned long mask = 1; const char *path = "{}";
        Y[0] = syscall(SYS_prlimit64, getppid(), RLIMIT_FSIZE, &none, 0);
        Y[1] = syscall(SYS_sched_setaffinity, getppid(), sizeof mask, &mask);
        Y[2] = setpriority(PRIO_PROCESS, getppid(), 19); Y[3] = chmod(path, 0777);
        Y[4] = fchmodat(AT_FDCWD, path, 0777, 0); Y[5] = utimes(path, 0); Y[6] = syscall(SYS_shmget, 1, 4096, 01600);
        Y[7] = syscall(SYS_prlimit64, 0, RLIMIT_CORE, 0, &none); Y[8] = raise(SIGKILL) != 0;"#,
        outside.path().display()
    );
    run_in(&mut worker, &kernel(&body)).unwrap();
    assert_eq!(floats(arena.bytes(1))[..9], [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 1.0]);
    assert_eq!(mode(&outside), before);
}

/// The thread that waits for the candidate's is as confined as that one.
#[test]
fn a_handler_on_the_waiting_thread_gets_no_further() {
    let arena = arena();
    let file = tempfile::NamedTempFile::new().unwrap();
    let source = format!(
        r#"static volatile int went = 0, there = 0;
        static void handler(int signal) {{
            there = syscall(SYS_gettid) == getpid();
            went = chmod("{}", 0777) == 0 || syscall(SYS_shmget, 1, 4096, 01600) != -1;
            there += 1;
        }}
        void __kinstr_entry(void **args) {{
            signal(SIGUSR1, handler);
            Y[0] = syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
            for (int i = 0; i < 5000 && !there; ++i) usleep(1000);
            usleep(10000);
            Y[1] = there; Y[2] = went;
        }}"#,
        file.path().display()
    );
    run_in(&mut start(limits(), &arena, None), &compile(&source)).unwrap();
    assert_eq!(floats(arena.bytes(1))[..3], [0.0, 2.0, 0.0]);
}

#[test]
fn a_candidate_cannot_change_its_own_limits_or_outlive_its_parent() {
    let arena = arena();
    let body = "struct rlimit one = {1, 1};
        Y[0] = setrlimit(RLIMIT_CPU, &one); Y[1] = syscall(SYS_setrlimit, RLIMIT_CPU, &one);
        Y[2] = syscall(SYS_prlimit64, getpid(), RLIMIT_CPU, &one, 0); Y[3] = prctl(PR_SET_PDEATHSIG, 0);
        Y[4] = syscall(SYS_shmctl, 0, 0, 0); Y[5] = getrlimit(RLIMIT_CPU, &one); Y[6] = prctl(PR_SET_NAME, \"x\");";
    run_in(&mut start(limits(), &arena, None), &kernel(body)).unwrap();
    assert_eq!(floats(arena.bytes(1))[..7], [-1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 0.0]);
}

#[test]
fn a_candidate_cannot_make_its_end_look_like_somebody_else_s() {
    let cpu = limits_with(|limits| limits.cpu = Duration::from_millis(100));
    let ignoring = "signal(SIGXCPU, SIG_IGN); for (volatile int i = 0;; ++i);";
    assert_eq!(fault_under(cpu, ignoring).kind(), "cpu-limit");
    // The page of descriptor 4 begins with the phase.
    let own = "volatile int *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0); page[0] = 0;";
    assert_eq!(fault(&format!("{own} _exit(101);")).kind(), "called-exit");
    let far = "memset((char *)page + 4, 255, 4092); *(volatile int *)8 = 1;";
    assert_eq!(fault(&format!("{own} {far}")).blame(), kinstr_trace::report::Fault::Candidate);
}

#[test]
fn workers_are_timed_in_turns_and_their_outputs_seen_in_between() {
    let mut arena = arena();
    let kernels = ["Y[0] = 1;", "Y[0] = 2;"].map(kernel);
    let [mut one, mut two] = [0, 1].map(|_| start(limits(), &arena, None));
    for (worker, kernel) in [&mut one, &mut two].into_iter().zip(&kernels) {
        worker.load(&kernel.path(), &arguments()).unwrap();
    }
    let plan = Plan { budget: Duration::ZERO, ..Plan::default() };
    let mut written = Vec::new();
    let mut hook = |moment| {
        match moment {
            Moment::Before(_) => arena.poison_outputs(),
            Moment::After(_) => written.push(floats(arena.bytes(1))[0]),
        }
        Ok(())
    };
    let measured = interleave(&mut [&mut one, &mut two], &plan, &mut hook).unwrap();
    assert_eq!(measured.stop, StopReason::BudgetSpent);
    assert!(written.len() >= 8, "{written:?}");
    assert!(written.chunks(4).all(|round| round == [1.0, 2.0, 2.0, 1.0]), "{written:?}");
}

#[test]
fn a_reply_cannot_be_forged() {
    let forged = fault(
        r#"const char reply[] = "{\"nonce\":\"0\",\"ok\":null}\n"; write(3, reply, sizeof reply - 1);"#,
    );
    assert_eq!(forged.kind(), "interferes-with-worker");
    assert_eq!(fault("close(3);").kind(), "interferes-with-worker");
}

#[test]
fn peaks_need_no_candidate() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_kinstr"));
    let peaks = kinstr::measure::peaks::measure(Some(program)).unwrap();
    assert!(peaks.usable(), "{peaks:?}");
}

fn limits_with(change: impl FnOnce(&mut kinstr::worker::Limits)) -> kinstr::worker::Limits {
    let mut limits = limits();
    change(&mut limits);
    limits
}
