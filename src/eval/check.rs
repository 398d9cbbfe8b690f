//! Check: the candidate's outputs against the reference's, on several seeds, with guard zones and repeats.

use super::{
    arguments::{digest_of, outputs, put_inputs},
    device::Duty,
    failure::Stop,
    session::{Done, Session},
    subject::{Inputs, Running, Subject},
};
use crate::{
    complaint::Complaint,
    correctness::{Judge, OTHER_POISON, POISON, WorkloadVerdict},
    jobs::event::Event,
    reference::Reference,
    tensor::Seed,
    worker::{
        Fault as WorkerFault, PythonWorker,
        fault::{CandidateFault, distance},
    },
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::report::{Fault, LayerStatus, Verdict};
use rayon::prelude::*;

/// Runs on the same inputs that must agree bit for bit: the seed's own and two more.
const REPEATS: u32 = 2;

/// Checks every workload, until one is not correct.
pub fn check(
    session: &mut Session<'_>,
    subject: Subject<'_>,
    reference: &mut Reference,
) -> Result<Done, Stop> {
    for workload in 0..session.problem.workloads.len() {
        let name = session.problem.workloads[workload].name.clone();
        session.progress(&format!("checking {name}"));
        let verdict = Checker::new(session, subject, reference, workload)?.judge()?;
        session.push(Event::Checked { workload, correctness: verdict.to_report() })?;
        for finding in &verdict.findings {
            session.push(Event::Note { text: format!("{name}: {finding}") })?;
        }
        if verdict.verdict != Verdict::Correct {
            let why = verdict.findings.first().map_or("nothing was compared".to_owned(), ToString::to_string);
            let detail = format!("{name}: {why}");
            session.push(Event::Judged { verdict: verdict.verdict, detail, fault: None })?;
            break;
        }
    }
    session.push(Event::Layer { name: "correctness".into(), status: LayerStatus::Ran })?;
    Ok(Done)
}

/// Whether the candidate wrote beside its tensors, at any time since they were made.
pub fn check_guards(arena: &Arena) -> Result<(), Stop> {
    match arena.check_guards().first() {
        None => Ok(()),
        Some(hit) => {
            let text = format!("the candidate writes {} `{}`", distance(hit.place), hit.buffer);
            let hint = "check the loop bounds, above all of the last tile or vector";
            let complaint = Complaint::new("candidate::out-of-bounds", text).help(hint);
            Err(Stop::failed(Fault::Candidate, "out-of-bounds", complaint, Some(hint)))
        }
    }
}

/// Whether the inputs in `arena` are still `inputs`: what a candidate in Python is given it can write to.
pub fn check_inputs(arena: &Arena, inputs: &[&[u8]]) -> Result<(), Stop> {
    for (index, input) in inputs.iter().enumerate() {
        if let Some(offset) = first_difference(arena.bytes(index), input) {
            let buffer = arena.layout().buffers[index].name.clone();
            return Err(WorkerFault::from(CandidateFault::WritesInput { buffer, offset }).into());
        }
    }
    Ok(())
}

/// Where `now` is no longer `before`, if it is not.
fn first_difference(now: &[u8], before: &[u8]) -> Option<usize> {
    let pairs = now.par_chunks(COMPARED_AT_ONCE).zip(before.par_chunks(COMPARED_AT_ONCE)).enumerate();
    // Whole chunks are compared many bytes at a time.
    let (number, (now, before)) = pairs.find_first(|(_, (now, before))| now != before)?;
    let within = now.iter().zip(before).position(|(now, before)| now != before)?;
    Some(number * COMPARED_AT_ONCE + within)
}

/// Bytes that one thread compares at a time.
const COMPARED_AT_ONCE: usize = 1 << 20;

/// What a candidate in Python does to its own process: nothing rests on it here, but elsewhere it would.
fn note_oddities(session: &mut Session<'_>, worker: &mut PythonWorker) -> Result<(), Stop> {
    let oddities = worker.oddities()?;
    let sentences = [
        (
            oddities.patched,
            "the candidate replaces",
            "in its own process, where nothing is judged or timed by it",
        ),
        (oddities.defines, "the candidate defines", "as the problem does; the problem's own are used"),
    ];
    for (names, does, why) in sentences {
        let names: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
        if !names.is_empty() {
            session.note_once(format!("{does} {} {why}", names.join(", ")))?;
        }
    }
    Ok(())
}

/// Names in a note.
const MOST_NAMES: usize = 8;

struct Checker<'s, 'a> {
    session: &'s mut Session<'a>,
    subject: Subject<'s>,
    reference: &'s mut Reference,
    workload: usize,
    arena: Arena,
}

impl<'s, 'a> Checker<'s, 'a> {
    fn new(
        session: &'s mut Session<'a>,
        subject: Subject<'s>,
        reference: &'s mut Reference,
        workload: usize,
    ) -> Result<Self, Stop> {
        reference.select(workload)?;
        let arena = session.any_arena(workload)?;
        Ok(Self { session, subject, reference, workload, arena })
    }

    fn judge(mut self) -> Result<WorkloadVerdict, Stop> {
        let workload = self.session.problem.workloads[self.workload].clone();
        let mut judge = Judge::new(&self.session.problem, &workload);
        let seeds = self.session.seeds(self.workload);
        let mut worker = None;
        for (number, seed) in seeds.iter().enumerate() {
            self.prepare(*seed, number == 0, &mut judge)?;
            let mut current = self.follow(worker.take(), *seed)?;
            self.run(&mut current, POISON, true)?;
            let problem = &self.session.problem;
            judge.seed(
                *seed,
                &self.reference.inputs(),
                &self.reference.expected(),
                &outputs(&self.arena, problem),
            )?;
            worker = Some(current);
        }
        if let Some(mut worker) = worker {
            for _ in 0..REPEATS {
                self.run(&mut worker, OTHER_POISON, false)?;
                judge.repeat(&self.reference.expected(), &outputs(&self.arena, &self.session.problem))?;
            }
            self.note_printing(&worker)?;
            self.note_isolation(&worker)?;
            match worker {
                Running::Python(mut worker) => {
                    note_oddities(self.session, &mut worker)?;
                    self.session.python = Some(worker);
                }
                Running::Native(worker) => self.session.crew.give_back(Duty::Clean, *worker),
            }
        }
        self.session.arenas[self.workload] = Some(self.arena);
        Ok(judge.finish())
    }

    /// Inputs of `seed` in both arenas, expected outputs in the reference's.
    fn prepare(&mut self, seed: Seed, first: bool, judge: &mut Judge) -> Result<(), Stop> {
        self.reference.prepare(seed)?;
        self.reference.evaluate()?;
        if first {
            // Copies of large outputs take longer than a digest, and are needed only where bits differ.
            let digest = digest_of(&self.reference.expected());
            self.reference.evaluate()?;
            if digest_of(&self.reference.expected()) != digest {
                let before = self.reference.evaluate_again()?;
                let before: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
                judge.reference_repeat(&before, &self.reference.expected())?;
            }
        }
        put_inputs(&mut self.arena, &self.reference.inputs());
        Ok(())
    }

    /// A process on the inputs of `seed`: the one that there is, if it can take them over.
    fn follow(&mut self, running: Option<Running>, seed: Seed) -> Result<Running, Stop> {
        let inputs = Inputs { workload: self.workload, seed };
        if let Some(mut running) = running {
            if self.subject.renew(&mut running, self.session, self.reference, inputs)? {
                return Ok(running);
            }
            self.note_printing(&running)?;
        }
        let limits = self.session.limits();
        self.subject.start(self.session, self.reference, inputs, &self.arena, limits)
    }

    /// Calls the candidate once; `fresh` says whether its inputs have changed.
    fn run(&mut self, worker: &mut Running, poison: u8, fresh: bool) -> Result<(), Stop> {
        match worker {
            Running::Native(native) if !fresh => native.run_again(&mut self.arena, poison).map(drop)?,
            _ => worker.run_on(&mut self.arena, poison)?,
        }
        check_guards(&self.arena)?;
        match worker {
            // Its inputs are write-protected.
            Running::Native(_) => Ok(()),
            Running::Python(_) => check_inputs(&self.arena, &self.reference.inputs()),
        }
    }

    fn note_printing(&mut self, worker: &Running) -> Result<(), Stop> {
        for (stream, printed) in worker.printed() {
            let text = printed.text();
            if let Some(first) = text.lines().next() {
                let first: String = first.chars().take(80).collect();
                let text = format!("the candidate prints on {stream}, beginning with: {first}");
                self.session.note_once(text)?;
            }
        }
        Ok(())
    }

    fn note_isolation(&mut self, worker: &Running) -> Result<(), Stop> {
        if self.workload == 0 && !worker.isolation().is_empty() {
            let text = format!("this machine does not allow: {}", worker.isolation().join(", "));
            self.session
                .push(Event::Note { text: format!("isolation of the candidate is incomplete; {text}") })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_in_any_chunk() {
        let before = vec![7; 3 * COMPARED_AT_ONCE / 2];
        assert_eq!(first_difference(&before, &before), None);
        for at in [0, COMPARED_AT_ONCE - 1, COMPARED_AT_ONCE, before.len() - 1] {
            let mut now = before.clone();
            now[at..].fill(8);
            assert_eq!(first_difference(&now, &before), Some(at));
        }
    }
}
