//! The first server with room, in declaration order (HAProxy's `first`, `src/lb_fas.c`).
//!
//! Sessions fill one server after another up to its `maxconn`, so that those at the end can be
//! switched off when there is little to do. A server without `maxconn` takes everything.

/// The servers in use.
#[derive(Debug)]
pub struct First(Box<[u32]>);

impl First {
    /// As [`super::Algorithm::order`].
    pub fn new(servers: &[(u32, u16)]) -> Self {
        Self(servers.iter().map(|&(position, _)| position).collect())
    }

    /// The position of the first server; whoever finds it full asks for one that has room.
    pub fn next(&self) -> Option<u32> {
        self.0.first().copied()
    }

    /// The first of those that `fit`.
    pub fn next_that(&self, fits: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.iter().copied().find(|&position| fits(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits() {
        let order = First::new(&[(1, 16), (2, 32), (5, 16)]);
        assert_eq!([order.next(), order.next()], [Some(1), Some(1)]);
        assert_eq!(order.next_that(|position| position != 1), Some(2));
        assert_eq!(order.next_that(|_| false), None);
        assert_eq!(First::new(&[]).next(), None);
    }
}
