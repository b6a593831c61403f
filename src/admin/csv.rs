//! The statistics as CSV, in HAProxy's form: the first line names the fields after `# `, and
//! every line ends in a comma (management.txt, "CSV format").

use std::fmt::Write as _;

use super::fields::{FIELDS, Value};
use super::row::Row;
use super::rows::Selection;

/// The whole document, a line at a time.
pub fn pieces(selection: Selection) -> impl Iterator<Item = String> + Send + 'static {
    std::iter::once(header()).chain(selection.rows(line))
}

fn header() -> String {
    let names = FIELDS.map(|(name, _)| name).join(",");
    format!("# {names},\n")
}

fn line(row: &Row<'_>) -> String {
    let mut line = String::with_capacity(320);
    for (_, value) in FIELDS {
        match value(row) {
            Value::Empty => {}
            Value::Number(number) => {
                let _ = write!(line, "{number}");
            }
            Value::Never => line.push_str("-1"),
            Value::Text(text) => push_text(&mut line, text),
        }
        line.push(',');
    }
    line.push('\n');
    line
}

/// In quotes only where it must be, as HAProxy does (`src/chunk.c`, `csv_enc_append`).
fn push_text(line: &mut String, text: &str) {
    if text.contains(['"', ',', '\n', '\r']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::{Config, ServerAddress, ServerConfig};
    use crate::topology::Topology;
    use crate::topology::sample::{
        backend, empty_config, pass_check, server, single_farm, take_down, with_backend,
    };
    use crate::topology::status::ServerStatus;

    fn csv(topology: &Arc<Topology>, only_up: bool) -> Vec<String> {
        let now = topology.started + Duration::from_secs(4_320);
        let mut selection = Selection::all(Arc::clone(topology), now);
        selection.view.only_up = only_up;
        pieces(selection).collect()
    }

    /// The non-empty fields of a line, as `name=value`.
    fn named(line: &str) -> String {
        let values = line.strip_suffix(",\n").unwrap().split(',');
        let pairs = FIELDS
            .iter()
            .zip(values)
            .filter(|(_, value)| !value.is_empty());
        pairs.fold(String::new(), |mut shown, ((name, _), value)| {
            let _ = write!(shown, "{name}={value} ");
            shown
        })
    }

    fn sample() -> Arc<Topology> {
        let topology = single_farm(false);
        let now = topology.started;
        pass_check(&topology, 0, 0, 4);
        take_down(&topology, 0, 1);
        topology.backends[0].servers[3].update(|status| {
            *status = ServerStatus::new(None, now);
        });
        let server = &topology.backends[0].servers[0].counters;
        for counters in [
            &topology.frontends[0].counters,
            &topology.backends[0].counters,
            server,
        ] {
            counters.enter(0, 4_300);
            counters.shard(0).bytes_in.add(70);
            counters.shard(0).bytes_out.add(5_000_000_000);
            counters.tick();
        }
        server.shard(0).balanced.add(1);
        server.shard(0).retries.add(2);
        topology
    }

    /// What HAProxy 2.6 prints, with the values of this topology.
    #[test]
    fn every_kind_of_row_has_haproxys_fields() {
        let lines = csv(&sample(), false);
        assert_eq!(lines.len(), 1 + 1 + 5);
        assert_eq!(
            named(&lines[1]),
            "pxname=ft svname=FRONTEND scur=1 smax=1 slim=4294967295 stot=1 bin=70 bout=5000000000 dreq=0 dresp=0 \
             ereq=0 status=OPEN pid=1 iid=2 sid=0 type=0 rate=1 rate_lim=0 rate_max=1 req_rate=0 \
             req_rate_max=0 req_tot=0 comp_in=0 comp_out=0 comp_byp=0 comp_rsp=0 addr=0.0.0.0:81 \
             mode=tcp conn_rate=1 conn_rate_max=1 conn_tot=1 dcon=0 dses=0 "
        );
        assert_eq!(
            named(&lines[2]),
            "pxname=bk svname=s1 qcur=0 qmax=0 scur=1 smax=1 stot=1 bin=70 bout=5000000000 dresp=0 \
             econ=0 eresp=0 wretr=2 wredis=0 status=UP weight=1 act=1 bck=0 chkfail=0 chkdown=0 \
             lastchg=4320 downtime=0 pid=1 iid=3 sid=1 lbtot=1 type=2 rate=1 rate_max=1 \
             check_status=L4OK check_duration=0 cli_abrt=0 srv_abrt=0 lastsess=20 \
             check_desc=Layer4 check passed check_rise=2 check_fall=3 check_health=4 \
             addr=127.0.0.1:81 mode=tcp "
        );
        assert_eq!(
            named(&lines[3]),
            "pxname=bk svname=s2 qcur=0 qmax=0 scur=0 smax=0 stot=0 bin=0 bout=0 dresp=0 econ=0 \
             eresp=0 wretr=0 wredis=0 status=DOWN weight=1 act=1 bck=0 chkfail=1 chkdown=1 \
             lastchg=4260 downtime=4260 pid=1 iid=3 sid=2 lbtot=0 type=2 rate=0 rate_max=0 \
             check_status=L4CON check_duration=2 cli_abrt=0 srv_abrt=0 lastsess=-1 \
             last_chk=Connection refused check_desc=Layer4 connection problem check_rise=2 \
             check_fall=3 check_health=0 addr=127.0.0.1:82 mode=tcp "
        );
        assert_eq!(
            named(&lines[5]),
            "pxname=bk svname=s4 qcur=0 qmax=0 scur=0 smax=0 stot=0 bin=0 bout=0 dresp=0 econ=0 \
             eresp=0 wretr=0 wredis=0 status=no check weight=1 act=0 bck=1 lastchg=4320 pid=1 \
             iid=3 sid=4 lbtot=0 type=2 rate=0 rate_max=0 cli_abrt=0 srv_abrt=0 lastsess=-1 \
             addr=127.0.0.1:84 mode=tcp "
        );
        assert_eq!(
            named(&lines[6]),
            "pxname=bk svname=BACKEND qcur=0 qmax=0 scur=1 smax=1 stot=1 bin=70 bout=5000000000 \
             dreq=0 dresp=0 econ=0 eresp=0 wretr=0 wredis=0 status=UP weight=1 act=1 bck=2 \
             chkdown=0 lastchg=4320 downtime=0 pid=1 iid=3 sid=0 lbtot=0 type=1 rate=1 rate_max=1 \
             cli_abrt=0 srv_abrt=0 comp_in=0 comp_out=0 comp_byp=0 comp_rsp=0 lastsess=20 mode=tcp \
             algo=roundrobin "
        );
    }

    #[test]
    fn the_first_line_is_haproxys() {
        let lines = csv(&single_farm(false), false);
        assert_eq!(
            lines[0],
            "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,\
             wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,\
             sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,\
             check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,\
             req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,\
             lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,\
             agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,\
             agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,\
             intercepted,dcon,dses,\n"
        );
        for line in &lines {
            assert_eq!(line.matches(',').count(), 83, "{line}");
        }
    }

    #[test]
    fn a_server_before_its_first_check() {
        let lines = csv(&single_farm(false), false);
        assert!(lines[2].contains(",INI,,,"), "{}", lines[2]);
        assert!(lines[2].contains(",UP 1/3,"), "{}", lines[2]);
        assert!(lines[2].contains(",Initializing,,2,3,2,"), "{}", lines[2]);
    }

    #[test]
    fn a_backend_that_runs_on_a_backup_and_then_on_nothing() {
        let topology = single_farm(false);
        let total = || named(csv(&topology, false).last().unwrap());
        take_down(&topology, 0, 0);
        take_down(&topology, 0, 1);
        assert!(total().contains("status=UP weight=1 act=0 bck=2 chkdown=0"));
        take_down(&topology, 0, 2);
        take_down(&topology, 0, 3);
        let outage = "status=DOWN weight=0 act=0 bck=0 chkdown=1 lastchg=4260 downtime=4260";
        assert!(total().contains(outage), "{}", total());
    }

    #[test]
    fn up_leaves_out_servers_that_are_down_unless_they_are_coming_up() {
        let names = |topology: &Arc<Topology>| {
            let lines = csv(topology, true);
            let names = lines[2..]
                .iter()
                .map(|line| line.split(',').nth(1).unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        let topology = single_farm(false);
        take_down(&topology, 0, 0);
        assert_eq!(names(&topology), ["s2", "s3", "s4", "BACKEND"]);
        pass_check(&topology, 0, 0, 1);
        assert_eq!(names(&topology), ["s1", "s2", "s3", "s4", "BACKEND"]);
    }

    #[test]
    fn names_are_quoted_only_where_they_must_be() {
        let quoted = |name: &str| {
            let topology = with_backend(backend("bk", false, vec![server(name, 80, false)]));
            let line = csv(&topology, false).swap_remove(2);
            let end = line.find(",0,0,0,0,,0,").unwrap();
            line[3..end].to_owned()
        };
        assert_eq!(quoted("plain name"), "plain name");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(quoted("two\nlines"), "\"two\nlines\"");
        assert_eq!(
            quoted("<script>alert(1)</script>"),
            "<script>alert(1)</script>"
        );
    }

    #[test]
    fn a_server_whose_name_does_not_resolve_shows_the_name() {
        let server = ServerConfig {
            address: ServerAddress {
                host: "nginx-1".into(),
                port: 81,
            },
            ..server("s1", 81, false)
        };
        let config = Config {
            backends: vec![backend("bk", false, vec![server])],
            ..empty_config()
        };
        let topology = Arc::new(Topology::build(&config, 1, Instant::now()));
        assert!(csv(&topology, false)[1].contains(",nginx-1:81,"));
    }
}
