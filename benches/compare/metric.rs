//! What is measured, in which unit, and the limits it has to keep.

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    RequestCpu,
    RequestRate,
    ConnectionCpu,
    ConnectionRate,
    Bulk4Cpu,
    Bulk4Rate,
    Bulk64Cpu,
    Bulk64Rate,
    DownloadCpu,
    DownloadRate,
    UploadCpu,
    UploadRate,
    LatencyMedian,
    Latency99,
    Latency999,
    IdleBytes,
}

impl Metric {
    /// As shown to people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::RequestCpu => "CPU per small request",
            Self::RequestRate => "small requests",
            Self::ConnectionCpu => "CPU per connection",
            Self::ConnectionRate => "connections",
            Self::Bulk4Cpu => "CPU per GB, 4 connections",
            Self::Bulk4Rate => "bulk, 4 connections",
            Self::Bulk64Cpu => "CPU per GB, 64 connections",
            Self::Bulk64Rate => "bulk, 64 connections",
            Self::DownloadCpu => "CPU per GB, iperf3 to the client",
            Self::DownloadRate => "iperf3 to the client",
            Self::UploadCpu => "CPU per GB, iperf3 to the server",
            Self::UploadRate => "iperf3 to the server",
            Self::LatencyMedian => "latency at half load, p50",
            Self::Latency99 => "latency at half load, p99",
            Self::Latency999 => "latency at half load, p99.9",
            Self::IdleBytes => "memory per idle session",
        }
    }

    /// Of the values in the JSON file.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::RequestRate | Self::ConnectionRate => "1/s",
            Self::Bulk4Cpu | Self::Bulk64Cpu | Self::DownloadCpu | Self::UploadCpu => "s/GB",
            Self::Bulk4Rate | Self::Bulk64Rate | Self::DownloadRate | Self::UploadRate => "GB/s",
            Self::RequestCpu
            | Self::ConnectionCpu
            | Self::LatencyMedian
            | Self::Latency99
            | Self::Latency999 => "s",
            Self::IdleBytes => "B",
        }
    }

    /// A value with its unit, for people.
    pub(crate) fn show(self, value: f64) -> String {
        match self.unit() {
            "s" => format!("{:.2} µs", value * 1e6),
            "1/s" => format!("{value:.0}/s"),
            "B" => format!("{value:.0} B"),
            unit => format!("{value:.3} {unit}"),
        }
    }

    /// The greatest ratios to the floor, HAProxy and nginx that are good enough.
    pub(crate) fn limits(self) -> [Option<f64>; 3] {
        match self {
            Self::RequestCpu => [Some(1.05), Some(0.95), Some(1.0)],
            Self::ConnectionCpu => [Some(1.06), Some(0.9), Some(1.0)],
            Self::Bulk64Cpu => [None, Some(0.75), Some(0.35)],
            Self::Latency99 => [Some(1.1), Some(1.0), Some(1.0)],
            Self::IdleBytes => [None, Some(0.5), Some(0.2)],
            _ => [None; 3],
        }
    }
}
