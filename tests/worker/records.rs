//! Recording: units, clocks and the record file.

use kinstr_runtime::arena::Arena;
use kinstr_runtime::records::{RecordMemory, RecordSpec};
use kinstr_trace::layout::{Keep, Mode, STATE_BYTES, offset};

use crate::support::*;

/// A candidate that counts its calls at site 1, as instrumented code would, in `threads` threads.
fn counting(threads: usize) -> Library {
    let counter = offset::counter(1, 2);
    compile(&format!(
        "#include <pthread.h>
        char *(**__kinstr_state)(void *);
        static void *count(void *unused) {{
            void *state = __kinstr_state;
            if (!state) return 0;
            char *(*attach)(void *) = *(char *(**)(void *))((char *)state + {attach});
            ++*(uint64_t *)(attach(state) + {counter});
            return 0;
        }}
        void __kinstr_entry(void **args) {{
            pthread_t threads[{threads}];
            for (int i = 1; i < {threads}; ++i) pthread_create(&threads[i], 0, count, 0);
            count(0);
            for (int i = 1; i < {threads}; ++i) pthread_join(threads[i], 0);
        }}",
        attach = offset::STATE_ATTACH,
    ))
}

fn memory(unit_capacity: u32) -> RecordMemory {
    let spec = RecordSpec {
        site_count: 2,
        word_count: 0,
        record_capacity: 0,
        keep: Keep::First,
        unit_capacity,
        mode: Mode::Aggregate,
        site_digest: [9; 32],
    };
    RecordMemory::new(spec).unwrap()
}

struct File(Vec<u8>);

impl File {
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }
    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }
    fn units_used(&self) -> u32 {
        self.u32(36)
    }
    fn units_refused(&self) -> u32 {
        self.u32(40)
    }
    fn unit(&self, unit: u32) -> usize {
        (STATE_BYTES + u64::from(unit) * offset::unit_stride(2, 0, 0)) as usize
    }
    fn counted(&self, unit: u32) -> u64 {
        self.u64(self.unit(unit) + offset::counter(1, 2) as usize)
    }
}

fn record(arena: &Arena, threads: usize, units: u32, calls: u32) -> File {
    let mut worker = start(limits(), arena, Some(memory(units)));
    worker.load(&counting(threads).path(), &arguments()).unwrap();
    File(worker.record(calls).unwrap())
}

#[test]
fn one_thread_gets_one_unit_with_both_clocks() {
    let file = record(&arena(), 1, 4, 3);
    assert_eq!((file.units_used(), file.units_refused()), (1, 0));
    assert_eq!(file.0.len(), file.unit(1));
    // The warm-up call is not in it.
    assert_eq!(file.counted(0), 3);
    assert_eq!(file.u64(8), 0, "the attach function's address is gone");
    let [clock_begin, clock_end, global_begin, global_end] = [64, 72, 80, 88].map(|at| file.u64(at));
    let unit = file.unit(0);
    let [clock_entry, clock_exit, global_entry, global_exit] = [8, 16, 24, 32].map(|at| file.u64(unit + at));
    assert!(clock_begin <= clock_entry && clock_entry < clock_exit && clock_exit == clock_end);
    assert!(global_begin <= global_entry && global_entry < global_exit && global_exit == global_end);
    assert_eq!(file.u32(60), 3, "launches");
}

#[test]
fn threads_without_a_unit_are_counted() {
    let file = record(&arena(), 5, 2, 1);
    assert_eq!((file.units_used(), file.units_refused()), (2, 3));
    assert_eq!((file.counted(0), file.counted(1)), (1, 1));
    assert_eq!(file.0.len(), file.unit(2));
}

#[test]
fn recording_again_starts_from_nothing_and_detached_code_records_nothing() {
    let arena = arena();
    let mut worker = start(limits(), &arena, Some(memory(4)));
    worker.load(&counting(1).path(), &arguments()).unwrap();
    for calls in [2, 5] {
        assert_eq!(File(worker.record(calls).unwrap()).counted(0), u64::from(calls));
    }
    worker.attach().unwrap();
    assert_eq!(File(worker.detach().unwrap()).units_used(), 0);
}

#[test]
fn a_library_without_probes_cannot_record() {
    let arena = arena();
    let mut worker = start(limits(), &arena, Some(memory(1)));
    worker.load(&kernel("").path(), &arguments()).unwrap();
    let fault = worker.attach().unwrap_err();
    assert!(fault.to_string().contains("without probes"), "{fault}");
}
