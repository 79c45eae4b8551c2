//! What an operator gets wrong about a kernel outside, and is told.

use super::super::{Error, check_all};
use super::*;

/// What is wrong with one kernel, in the build that is tested.
fn wrong(yaml: &str) -> String {
    let spec: Spec = serde_yaml::from_str(yaml).unwrap();
    check_all(&[spec]).first().map(Error::to_string).unwrap_or_default()
}

#[test]
fn what_does_not_fit_the_provider_is_refused_naming_the_field_and_what_to_write() {
    for (yaml, provider, expected) in [
        (
            "{name: a, command: [x], docker: {}}",
            Provider::Process,
            "`docker` is written, but its provider is process: add `provider: docker`",
        ),
        ("{name: a, provider: http}", Provider::Http, "`http` is missing"),
        (
            "{name: a, provider: http, http: {restart: {url: 'http://h/'}}}",
            Provider::Http,
            "`http` says nowhere whether it runs",
        ),
        (
            "{name: a, provider: http, http: {status: {url: 'http://h/'}}}",
            Provider::Http,
            "`http` cannot be restarted",
        ),
        (
            "{name: a, provider: http, http: {status: {url: 'h/'}}}",
            Provider::Http,
            "`http.status` has the url `h/`: write http://host:port/path",
        ),
        (
            "{name: a, provider: http, http: {status: {url: 'http://me:pw@h/'}}}",
            Provider::Http,
            "`http.status` has a user name or password in its url",
        ),
        (
            "{name: a, provider: http, http: {status: {url: 'http://h/', method: get}}}",
            Provider::Http,
            "`http.status` has the method `get`: use one of GET",
        ),
        (
            "{name: a, provider: http, http: {status: {url: 'http://h/', headers: {x: {prefix: p}}}}}",
            Provider::Http,
            "`http.status` has the header `x` with both or neither",
        ),
        (
            "{name: a, provider: http, command: [x], http: {}}",
            Provider::Http,
            "`command` is for a process that the engine starts",
        ),
        (
            "{name: a, provider: http, replicas: {min: 1, max: 2}, http: {}}",
            Provider::Http,
            "`replicas` needs an address that scales it",
        ),
        (
            "{name: a, provider: http, http: {status: {url: 'http://h/'}, restart: {url: 'http://h/'}, scale: {url: 'http://h/'}}}",
            Provider::Http,
            "`http.scale` does not say how many",
        ),
        (
            "{name: a, provider: http, http: {instance: at, status: {url: 'http://h/'}, restart: {url: 'http://h/'}}}",
            Provider::Http,
            "`http.instance` is `at`: write a JSON pointer",
        ),
        (
            "{name: a, provider: systemd, systemd: {unit: nginx}}",
            Provider::Systemd,
            "`systemd.unit` is `nginx`: write the whole name of one unit, such as `nginx.service`",
        ),
        (
            "{name: a, provider: systemd, systemd: {unit: 'a*.service'}}",
            Provider::Systemd,
            "`systemd.unit` is `a*.service`",
        ),
        (
            "{name: a, provider: systemd, systemd: {bus: machine}}",
            Provider::Systemd,
            "`systemd.bus` is `machine`: use system, session",
        ),
        (
            "{name: a, provider: systemd, replicas: {min: 1, max: 2}}",
            Provider::Systemd,
            "`replicas` cannot be had",
        ),
        (
            "{name: a, provider: docker, docker: {container: 'a/../b'}}",
            Provider::Docker,
            "`docker.container` is `a/../b`",
        ),
        (
            "{name: a, provider: docker, docker: {socket: 'unix:///run/x'}}",
            Provider::Docker,
            "`docker.socket` is an address: write the path alone, `/run/x`",
        ),
        (
            "{name: a, provider: docker, docker: {socket: 'tcp://h:1'}}",
            Provider::Docker,
            "`docker.socket` is `tcp://h:1`: only a socket",
        ),
        (
            "{name: a, provider: kubernetes, kubernetes: {deployment: deployment/web}}",
            Provider::Kubernetes,
            "`kubernetes.deployment` is `deployment/web`",
        ),
        ("{name: a, provider: kubernetes, port: auto}", Provider::Kubernetes, "`port` is for a process"),
    ] {
        let said = wrong(yaml);
        if provider.is_built_in() {
            assert!(said.starts_with(&format!("kernel `a`: {expected}")), "{yaml}: {said}");
        } else {
            let name = provider.as_str();
            assert!(
                said.starts_with(&format!("kernel `a`: `provider` is `{name}`, which is not part")),
                "{yaml}: {said}"
            );
            assert!(said.contains(&format!("--features {name}")) && said.contains("process"), "{said}");
        }
    }
}

#[test]
fn a_name_alone_is_enough_where_the_provider_knows_it_by_that() {
    for provider in [Provider::Systemd, Provider::Docker, Provider::Kubernetes] {
        if provider.is_built_in() {
            assert_eq!(wrong(&format!("{{name: web, provider: {}}}", provider.as_str())), "");
        }
    }
}

#[test]
fn a_secret_may_stand_elsewhere_and_a_slip_in_it_is_told() {
    let read = |yaml: &str| serde_yaml::from_str::<Text>(yaml).map_err(|error| error.to_string());
    assert_eq!(read("plain"), Ok(Text::Plain("plain".into())));
    let kept = Kept { env: Some("T".into()), file: None, prefix: "Bearer ".into() };
    assert_eq!(read("{env: T, prefix: 'Bearer '}"), Ok(Text::Kept(kept)));
    assert!(read("{evn: T}").unwrap_err().contains("unknown field `evn`"));
    assert!(read("[T]").unwrap_err().contains("a text, `{ env: NAME }` or `{ file: PATH }`"));
}

#[test]
fn relative_paths_are_those_of_the_configuration() {
    let mut spec: Spec = serde_yaml::from_str(
        "{name: a, provider: http, http: {start: {url: 'http://h/', headers: {x: {file: token}}}}, kubernetes: {kubeconfig: k}}",
    )
    .unwrap();
    spec.rebase(Path::new("/etc/p"));
    let text = serde_json::to_string(&spec).unwrap();
    assert!(text.contains("/etc/p/token") && text.contains("/etc/p/k"), "{text}");
}
