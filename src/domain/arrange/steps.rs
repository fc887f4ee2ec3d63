//! Counts, in tests, what a search looks at: how much work it is must not depend on how fast the machine is.

#[cfg(test)]
thread_local! {
    pub(super) static COUNTED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// One more.
pub(super) fn count() {
    #[cfg(test)]
    COUNTED.set(COUNTED.get() + 1);
}
