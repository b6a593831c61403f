//! By the client's address (HAProxy's `source` with `hash-type consistent`, made to need no more
//! than a look-up).
//!
//! Every client has an order of its own of all servers of the backend, and gets the first of them
//! that is in use and fits. So a server that dies, is full or refuses loses only its own clients,
//! each to the next in the client's order, and gets just these back when it returns. The orders
//! depend on nothing but the client's address and the servers' names and weights: every process with the
//! same servers chooses alike, whatever the order of the file, their addresses and their states.
//!
//! An address draws [`DRAWS`] slots of a [`Table`], one after another, and each slot belongs to
//! one server. While most servers are in use the first draw decides, and hardly any choice needs more
//! than two. Where all of them miss, because few of many servers are in use, rendezvous hashing
//! over those goes on with the order.
//!
//! Which server a slot belongs to is a race: each server throws numbers at the slots, more often the
//! more weight it has, and who hits a slot first has it. A server's throws do not depend on the other
//! servers. So one that is added or gets more weight takes slots, and one that is
//! removed or gets less gives slots up, and between the others nothing moves.

use std::net::IpAddr;
use std::sync::Arc;

use super::mix::{GOLDEN, mix};

/// Slots of a table. A server's share of clients is within a few hundredths of what its weight says
/// among ten servers, a tenth among a hundred, and two fifths among ten thousand.
const SLOT_BITS: u32 = 16;

/// Slots that a client draws before all servers in use are compared.
const DRAWS: u64 = 32;

/// Throws of all servers in one round of the race, per slot.
const ROUND: u64 = 4;

/// A whole share: the part of its clients that a server takes which does not start slowly.
const WHOLE: u64 = 1 << 32;

/// Which server each slot belongs to.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// What it was made of: for each server a number made of its name, and its weight.
    servers: Box<[(u64, u16)]>,
    /// Server positions; empty if no server has a weight.
    slots: Box<[u32]>,
}

impl Table {
    /// A table without slots for servers of these names, in declaration order, none of which has
    /// a weight.
    pub fn without_weights(names: &[&str]) -> Self {
        let servers = names.iter().map(|name| (number(name), 0));
        Self::of(servers.collect())
    }

    /// The table for the same servers with these weights; `None` if it has them already.
    pub fn reweighted(&self, weights: &[u16]) -> Option<Self> {
        let names = self.servers.iter().map(|&(name, _)| name);
        let servers: Box<[_]> = names.zip(weights.iter().copied()).collect();
        (servers != self.servers).then(|| Self::of(servers))
    }

    fn of(servers: Box<[(u64, u16)]>) -> Self {
        let slots = race(&servers);
        Self { servers, slots }
    }
}

/// What a server's name is to the race.
fn number(name: &str) -> u64 {
    // FNV-1a.
    let bytes = name.bytes();
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// The number of a client's address. An IPv4 client is the same one on a listener for IPv6.
fn key(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => mix(u64::from(address.to_bits())),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            mix(mix((bits >> 64) as u64).wrapping_add(bits as u64))
        }
    }
}

/// Who hits each slot first. Throw `k` of a server is at a moment between `k` and `k + 1` over its
/// weight. Moments are in 2^-40ths, so that they are whole numbers and the same on every machine.
fn race(servers: &[(u64, u16)]) -> Box<[u32]> {
    let total: u64 = servers.iter().map(|&(_, weight)| u64::from(weight)).sum();
    if total == 0 {
        return Box::default();
    }
    let slots = 1 << SLOT_BITS;
    let round = ((ROUND * slots) << 40) / total;
    let mut hits = vec![(u64::MAX, 0_u32); slots as usize];
    let mut begins = 0;
    // A throw of a round that has ended is before all throws to come.
    while hits.iter().any(|&(at, _)| at >= begins) {
        let ends = begins + round;
        for (position, &(name, weight)) in (0..).zip(servers) {
            let Some(step) = (1_u64 << 40).checked_div(weight.into()) else {
                continue;
            };
            for throw in begins / step..=ends / step {
                let number = mix(name.wrapping_add(throw.wrapping_mul(GOLDEN)));
                let at = throw * step + (((number & 0xff_ffff) * step) >> 24);
                let hit = &mut hits[(number >> (64 - SLOT_BITS)) as usize];
                // Whatever the order of the servers.
                if (at, name) < (hit.0, servers[hit.1 as usize].0) {
                    *hit = (at, position);
                }
            }
        }
        begins = ends;
    }
    hits.into_iter().map(|(_, position)| position).collect()
}

/// The servers in use and the table.
#[derive(Debug)]
pub struct Source {
    table: Arc<Table>,
    /// Position and weight.
    in_use: Box<[(u32, u16)]>,
    /// By position, which part of its clients a server takes, of [`WHOLE`].
    parts: Box<[u64]>,
}

impl Source {
    /// As [`super::Algorithm::order`]. A server whose weight is less than `full` says, by
    /// position, starts slowly: it takes only a part of its clients.
    pub fn new(servers: &[(u32, u16)], full: &[u16], table: Arc<Table>) -> Self {
        let mut parts = vec![0; full.len()].into_boxed_slice();
        for &(position, weight) in servers {
            let full = u64::from(full[position as usize].max(1));
            parts[position as usize] = u64::from(weight) * WHOLE / full;
        }
        Self {
            table,
            in_use: servers.into(),
            parts,
        }
    }

    /// The position of the client's server, or `None` if none is in use.
    pub fn next(&self, client: IpAddr) -> Option<u32> {
        self.next_that(client, |_| true)
    }

    /// The first in the client's order of those that `fit`.
    pub fn next_that(&self, client: IpAddr, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let key = key(client);
        let slots = (0..DRAWS).map(|draw| mix(key.wrapping_add(draw.wrapping_mul(GOLDEN))));
        let slots = slots.map(|number| (number >> (64 - SLOT_BITS)) as usize);
        let mut drawn = slots.map_while(|slot| self.table.slots.get(slot).copied());
        drawn
            .find(|&position| self.takes(position, key) && fits(position))
            .or_else(|| self.nearest(key, fits))
    }

    /// Whether the server is in use and, if it starts slowly, takes this client already.
    fn takes(&self, position: u32, key: u64) -> bool {
        let part = self.parts[position as usize];
        let (name, _) = self.table.servers[position as usize];
        part >= WHOLE || (part > 0 && mix(key ^ name) >> 32 < part)
    }

    /// Of those in use that fit, the first by rendezvous hashing with weights: the smallest of
    /// numbers that are distributed exponentially, each with its server's weight.
    fn nearest(&self, key: u64, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let fitting = self.in_use.iter().filter(|&&(position, _)| fits(position));
        let distance = |&&(position, weight): &&(u32, u16)| {
            let (name, _) = self.table.servers[position as usize];
            // Above 0 and at most 1.
            let uniform = ((mix(key.wrapping_add(name)) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            -uniform.ln() / f64::from(weight)
        };
        let nearest = fitting.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.map(|&(position, _)| position)
    }
}

#[cfg(test)]
mod tests;
