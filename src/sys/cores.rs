//! Which cores threads run on.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Lets the calling thread run on one core only: the `index`-th of those that it may run on,
/// counted in a circle.
///
/// # Errors
/// When the system does not allow it.
pub fn pin(index: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let Some(core) = nth(&allowed, index) else {
        return Ok(());
    };
    let mut one = CpuSet::new();
    one.set(core);
    Ok(sched_setaffinity(None, &one)?)
}

fn nth(allowed: &CpuSet, index: usize) -> Option<usize> {
    let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    cores.cycle().nth(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_counted_in_a_circle() {
        let mut allowed = CpuSet::new();
        assert_eq!(nth(&allowed, 3), None);
        allowed.set(2);
        allowed.set(5);
        assert_eq!(
            [0, 1, 2].map(|index| nth(&allowed, index)),
            [Some(2), Some(5), Some(2)]
        );
    }

    #[test]
    fn a_pinned_thread_may_run_on_one_core() {
        let count = std::thread::spawn(|| {
            pin(1).unwrap();
            sched_getaffinity(None).unwrap().count()
        });
        assert_eq!(count.join().unwrap(), 1);
    }
}
