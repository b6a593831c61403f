use super::*;

fn at(addresses: &[&str]) -> Vec<Endpoint> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap());
    addresses.map(Endpoint::at).collect()
}

#[test]
fn the_address_in_use_stays_while_the_name_has_it() {
    let endpoints = at(&["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"]);
    let chosen = |in_use: Option<&str>| {
        let in_use = in_use.map(|address| address.parse().unwrap());
        choose(&endpoints, in_use).unwrap().address.to_string()
    };
    assert_eq!(chosen(None), "10.0.0.1:80");
    assert_eq!(chosen(Some("10.0.0.2:80")), "10.0.0.2:80");
    assert_eq!(chosen(Some("[::1]:80")), "[::1]:80");
    assert_eq!(chosen(Some("10.0.0.3:80")), "10.0.0.1:80");
    assert_eq!(choose(&[], None), None);
}

#[test]
fn a_server_that_is_up_keeps_its_address_for_a_while() {
    let server = Key::new();
    let mut memory = Memory::default();
    let (began, hold) = (Instant::now(), Duration::from_secs(30));
    let mut note = |missing, lost, seconds| {
        let now = began + Duration::from_secs(seconds);
        memory.note(server, missing, lost, hold, now)
    };
    assert!(!note(true, false, 0));
    assert!(!note(true, false, 29));
    assert!(!note(false, false, 30));
    assert!(!note(true, false, 40));
    assert!(note(true, false, 70));
    assert!(!note(false, true, 71));
    assert!(note(true, true, 72));
}

#[tokio::test]
async fn the_system_knows_the_loopback() {
    let look_up = async |host: &str| look_up(host, &ResolveConfig::default()).await;
    let address = |text: &str| Some(text.parse().unwrap());
    assert_eq!(look_up("192.0.2.7").await, address("192.0.2.7"));
    assert_eq!(look_up("localhost").await, address("127.0.0.1"));
}
