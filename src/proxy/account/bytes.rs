//! What a session forwards, counted for each message.

use super::Account;
use crate::counters::{Shard, Total};

impl Account {
    /// Counts bytes read from the client.
    pub(in crate::proxy) fn received(&mut self, bytes: usize) {
        let forwarded = &self.forwarded.bytes_in;
        forwarded.set(forwarded.get() + bytes as u64);
        self.count_bytes(bytes, |shard| &shard.bytes_in);
    }

    /// Counts bytes read from the server.
    pub(in crate::proxy) fn answered(&mut self, bytes: usize) {
        let forwarded = &self.forwarded.bytes_out;
        forwarded.set(forwarded.get() + bytes as u64);
        self.count_bytes(bytes, |shard| &shard.bytes_out);
    }

    /// Adds to a total of the frontend, the backend and the server. One of each, not a loop over
    /// them: this is done for each message.
    fn count_bytes(&self, bytes: usize, total: impl Fn(&Shard) -> &Total) {
        let (worker, bytes) = (self.worker.id, bytes as u64);
        total(self.frontend.counters.shard(worker)).add(bytes);
        if let Some(backend) = &self.backend {
            total(backend.counters.shard(worker)).add(bytes);
        }
        if let Some(server) = &self.server {
            total(server.counters.shard(worker)).add(bytes);
        }
    }

    /// Counts bytes that were not copied, and whether the kernel refused to splice more.
    pub(in crate::proxy) fn spliced(&self, bytes: usize, refused: bool) {
        for counters in self.all() {
            let shard = self.shard(counters);
            shard.bytes_spliced.add(bytes as u64);
            shard.splice_refusals.add(u64::from(refused));
        }
    }
}
