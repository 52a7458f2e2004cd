//! Limits that the system keeps for a process: what every Unix has.

/// What a child may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of address space.
    pub(super) memory: Option<u64>,
    /// Seconds of work.
    pub(super) seconds: Option<u64>,
    /// Files open at the same time.
    pub(super) files: u64,
    /// Whether it may write into files at all.
    pub(super) writes: bool,
}

#[cfg(unix)]
mod system {
    use rustix::process::{Resource, Rlimit, setrlimit};

    use super::Limits;

    /// Sets a limit for good: not even this process can raise it again, unless it is root's.
    fn hard(resource: Resource, most: u64) -> rustix::io::Result<()> {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    }

    /// Sets all limits for good. Gives whether they hold.
    pub(in super::super) fn hold(limits: &Limits) -> bool {
        let mut all = vec![
            hard(Resource::Core, 0),
            hard(Resource::Nofile, limits.files),
        ];
        if !limits.writes {
            all.push(hard(Resource::Fsize, 0));
        }
        all.extend(limits.memory.map(|m| hard(Resource::As, m)));
        all.extend(limits.seconds.map(|s| hard(Resource::Cpu, s)));
        all.iter().all(Result::is_ok)
    }

    /// Sets the limits of one piece of work: so much more time, and so much address space.
    pub(in super::super) fn allow(memory: u64, seconds: u64) {
        let soft = |resource, most| {
            let limit = Rlimit {
                current: Some(most),
                maximum: rustix::process::getrlimit(resource).maximum,
            };
            // Where it can't be lowered the limit for good holds, and the parent's clock.
            let _ = setrlimit(resource, limit);
        };
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
        soft(
            Resource::Cpu,
            u64::try_from(used).unwrap_or(0).saturating_add(1 + seconds),
        );
        soft(Resource::As, memory);
    }
}

#[cfg(not(unix))]
mod system {
    use super::Limits;

    pub(in super::super) fn hold(_limits: &Limits) -> bool {
        false
    }

    pub(in super::super) fn allow(_memory: u64, _seconds: u64) {}
}

pub(super) use system::{allow, hold};
