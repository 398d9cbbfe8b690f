//! The transport, driven with small shell scripts.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A shell that runs `script` for each request, with the nonce in `$n`.
fn shell(script: &str) -> Process {
    shell_under(Limits { wall: 10 * SECOND, ..Limits::candidate() }, script, &[])
}

fn shell_under(limits: Limits, script: &str, fds: &[BorrowedFd<'_>]) -> Process {
    let serve = r#"while read -r line; do n=${line#*\"nonce\":\"}; n=${n%%\"*}; "#;
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{serve}{script}\ndone"));
    Process::spawn(command, limits, fds).unwrap()
}

const ANSWER: &str = r#"echo "{\"nonce\":\"$n\",\"ok\":$((1+1))}" >&3"#;

fn ask(process: &mut Process) -> Result<Value, Death> {
    let (reply, _) = process.request(&json!({"op": "x"}), 5 * SECOND)?;
    Ok(reply.done().unwrap())
}

/// No process of the group is left, zombies included.
fn assert_gone(id: u32) {
    let group = nix::unistd::Pid::from_raw(id as i32);
    assert_eq!(nix::sys::signal::killpg(group, None), Err(nix::errno::Errno::ESRCH));
}

#[test]
fn a_request_gets_its_reply_and_a_time() {
    let mut process = shell(ANSWER);
    let (reply, took) = process.request(&json!({"op": "x"}), 5 * SECOND).unwrap();
    assert_eq!(reply, Reply::Done(2.into()));
    assert!(took > Duration::ZERO);
    assert_eq!(ask(&mut process).unwrap(), 2);
    let id = process.id();
    drop(process);
    assert_gone(id);
}

#[test]
fn what_is_printed_is_captured_and_is_no_reply() {
    let mut process = shell(&format!(r#"echo "{{\"nonce\":\"$n\",\"ok\":7}}"; echo oops >&2; {ANSWER}"#));
    assert_eq!(ask(&mut process).unwrap(), 2);
    assert!(process.stdout().text().contains("\"ok\":7"));
    assert_eq!(process.stderr().text(), "oops\n");
}

#[test]
fn megabytes_of_output_do_not_block_the_child() {
    let line = "x".repeat(1000);
    let mut process =
        shell(&format!("i=0; while [ $i -lt 2000 ]; do echo {line}; i=$((i+1)); done; {ANSWER}"));
    assert_eq!(ask(&mut process).unwrap(), 2);
    assert_eq!(ask(&mut process).unwrap(), 2);
    assert!(process.stdout().total_bytes >= 2_002_000);
}

#[test]
fn a_forged_reply_is_a_broken_protocol() {
    let mut process = shell(r#"echo '{"nonce":"0","ok":1}' >&3"#);
    assert!(matches!(ask(&mut process), Err(Death::BrokenProtocol(_))));
    let mut process = shell(&format!("{ANSWER}; {ANSWER}"));
    // The second reply may come with the first or be taken for the next request's.
    let answers = [ask(&mut process), ask(&mut process)];
    assert!(answers.iter().any(|answer| matches!(answer, Err(Death::BrokenProtocol(_)))));
}

#[test]
fn an_exit_and_a_signal_are_told_apart() {
    assert!(matches!(ask(&mut shell("exit 7")), Err(Death::Exited { code: 7 })));
    assert!(matches!(
        ask(&mut shell("ulimit -t 1; while :; do :; done")),
        Err(Death::Signalled { signal: libc::SIGXCPU | libc::SIGKILL })
    ));
}

#[test]
fn a_child_that_does_not_answer_is_killed_with_its_children() {
    let limits = Limits { processes: true, ..Limits::candidate() };
    let mut process = shell_under(limits, "sleep 100 & sleep 100", &[]);
    let id = process.id();
    let answer = process.request(&json!({}), SECOND / 5);
    assert!(matches!(answer, Err(Death::TimedOut { .. })));
    // Its grandchild is the system's to reap.
    let begin = Instant::now();
    while nix::sys::signal::killpg(nix::unistd::Pid::from_raw(id as i32), None).is_ok() {
        assert!(begin.elapsed() < 5 * SECOND);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(ask(&mut process), Err(Death::Gone)));
}

#[test]
fn the_wall_limit_ends_a_child_between_and_within_requests() {
    let limits = Limits { wall: SECOND / 5, ..Limits::candidate() };
    let mut process = shell_under(limits, "while :; do :; done", &[]);
    assert!(matches!(ask(&mut process), Err(Death::OutOfTime { .. })));
}

#[test]
fn processes_are_refused_unless_allowed() {
    let mut process = shell(&format!("(exit 0); {ANSWER}"));
    assert_eq!(process.isolation(), [""; 0]);
    assert!(matches!(ask(&mut process), Err(Death::Exited { .. })));
    assert!(process.stderr().text().contains("fork"), "{:?}", process.stderr());
}

#[test]
fn writes_go_to_the_scratch_directory_only() {
    let outside = tempfile::tempdir().unwrap();
    let mut process = shell(&format!("echo a > here; echo b > {}/there; {ANSWER}", outside.path().display()));
    assert_eq!(ask(&mut process).unwrap(), 2);
    assert!(process.scratch().join("here").exists());
    assert!(!outside.path().join("there").exists());
    let scratch = process.scratch().to_owned();
    drop(process);
    assert!(!scratch.exists());
}

#[test]
fn extra_descriptors_arrive_in_order_and_nothing_else_does() {
    let secret = tempfile::tempfile().unwrap();
    let inheritable = fcntl(&secret, FcntlArg::F_DUPFD(50)).unwrap();
    let (one, two) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let script =
        format!("echo one >&4; echo two >&5; [ -e /proc/self/fd/{inheritable} ] && echo leaked; {ANSWER}");
    let mut process = shell_under(Limits::candidate(), &script, &[one.as_fd(), two.as_fd()]);
    assert_eq!(ask(&mut process).unwrap(), 2);
    assert_eq!(process.stdout().text(), "");
    let mut text = String::new();
    std::io::Seek::rewind(&mut &two).unwrap();
    (&two).read_to_string(&mut text).unwrap();
    assert_eq!(text, "two\n");
}

/// Name of the environment variable that makes [`parent_to_kill`] act.
const ACT: &str = "KINSTR_TEST_PARENT_TO_KILL";

/// Not a test by itself: the process that [`a_killed_parent_leaves_nothing_behind`] kills.
#[test]
fn parent_to_kill() {
    if std::env::var_os(ACT).is_some() {
        let process = shell(ANSWER);
        writeln!(std::io::stdout(), "child {} ", process.id()).unwrap();
        std::thread::sleep(60 * SECOND);
    }
}

#[test]
fn a_killed_parent_leaves_nothing_behind() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker::process::tests::parent_to_kill", "--nocapture"])
        .env(ACT, "")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(parent.stdout.take().unwrap());
    let line = std::io::BufRead::lines(output).map_while(Result::ok).find(|line| line.contains("child "));
    let line = line.unwrap();
    let child = line.split("child ").nth(1).unwrap().trim().parse::<i32>().unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    let begin = Instant::now();
    while nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), None).is_ok() {
        assert!(begin.elapsed() < 5 * SECOND);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_timeout_without_end_is_no_overflow() {
    let (reply, _) = shell(ANSWER).request(&json!({}), Duration::MAX).unwrap();
    assert_eq!(reply, Reply::Done(2.into()));
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let spawned = Process::spawn(Command::new("/no/such/program"), Limits::candidate(), &[]);
    assert!(matches!(spawned, Err(WorkerError::Spawn { .. })));
}
