//! The way to a cluster: a kubeconfig, or the service account of the pod that the engine runs in.
//!
//! Read at the start; a token in a file, or one that a program gives, is asked for anew when it may have changed.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Client, Identity};
use serde::Deserialize;

use super::login::Login;
use crate::kernels::providers::web;
use crate::kernels::spec;

/// How a cluster is spoken to.
pub(super) struct Access {
    /// Such as `https://10.0.0.1:6443`, without a slash at its end.
    pub(super) server: String,
    /// Of the context, or of the pod.
    pub(super) namespace: Option<String>,
    pub(super) client: Client,
    pub(super) login: Login,
}

/// Where Kubernetes puts what a pod needs to know.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: Option<String>,
    clusters: Vec<NamedCluster>,
    contexts: Vec<NamedContext>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
    namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<super::login::Exec>,
    auth_provider: Option<serde_json::Value>,
    username: Option<String>,
}

impl Access {
    /// The way that `spec` and the environment name.
    pub(super) fn open(spec: &spec::Kubernetes) -> Result<Self, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(path) = &spec.kubeconfig {
            return Self::of_files(std::slice::from_ref(path), spec.context.as_deref());
        }
        let host = variable("KUBERNETES_SERVICE_HOST");
        if let (Some(host), None) = (host, &spec.context) {
            let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".into());
            return Self::of_pod(&host, &port, Path::new(ACCOUNT));
        }
        let paths: Vec<PathBuf> = match variable("KUBECONFIG") {
            Some(list) => std::env::split_paths(&list).filter(|path| path.exists()).collect(),
            None => variable("HOME").map(|home| Path::new(&home).join(".kube/config")).into_iter().collect(),
        };
        if paths.is_empty() {
            return Err("no kubeconfig is named: write `kubernetes.kubeconfig`, or set KUBECONFIG".into());
        }
        Self::of_files(&paths, spec.context.as_deref())
    }

    fn of_pod(host: &str, port: &str, account: &Path) -> Result<Self, String> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authority = read(&account.join("ca.crt"))?;
        let namespace = std::fs::read_to_string(account.join("namespace")).ok();
        Ok(Self {
            server: format!("https://{host}:{port}"),
            namespace: namespace.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
            client: client(Some(&authority), None)?,
            login: Login::File(account.join("token")),
        })
    }

    fn of_files(paths: &[PathBuf], context: Option<&str>) -> Result<Self, String> {
        let mut all = File::default();
        for path in paths {
            let text =
                String::from_utf8(read(path)?).map_err(|_| format!("{} is not text", path.display()))?;
            let file: File = serde_yaml::from_str(&text)
                .map_err(|error| format!("{} is no kubeconfig: {error}", path.display()))?;
            let dir = path.parent().unwrap_or(Path::new(""));
            all.add(file, dir);
        }
        let shown = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        all.access(context).map_err(|problem| format!("{shown}: {problem}"))
    }
}

impl File {
    /// Of two entries of one name the first counts, as kubectl has it. Paths are relative to their own file.
    fn add(&mut self, other: Self, dir: &Path) {
        let place = |path: &mut Option<PathBuf>| *path = path.take().map(|path| dir.join(path));
        self.current_context = self.current_context.take().or(other.current_context);
        self.contexts.extend(other.contexts);
        for mut it in other.clusters {
            place(&mut it.cluster.certificate_authority);
            self.clusters.push(it);
        }
        for mut it in other.users {
            place(&mut it.user.client_certificate);
            place(&mut it.user.client_key);
            place(&mut it.user.token_file);
            self.users.push(it);
        }
    }

    fn access(self, context: Option<&str>) -> Result<Access, String> {
        let names = || self.contexts.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
        let Some(name) = context.or(self.current_context.as_deref()) else {
            return Err(format!("it has no current context: write `kubernetes.context`, one of {}", names()));
        };
        let Some(context) = self.contexts.iter().find(|it| it.name == name).map(|it| it.context.clone())
        else {
            return Err(format!("it has no context `{name}`: there are {}", names()));
        };
        let cluster = self.clusters.into_iter().find(|it| it.name == context.cluster).map(|it| it.cluster);
        let cluster = cluster.ok_or_else(|| {
            format!("context `{name}` names the cluster `{}`, which it has not", context.cluster)
        })?;
        if cluster.insecure_skip_tls_verify {
            return Err(
                "insecure-skip-tls-verify is not followed: name the authority that signed the server".into(),
            );
        }
        let user = self.users.into_iter().find(|it| it.name == context.user).map(|it| it.user);
        let user = match user {
            None if context.user.is_empty() => User::default(),
            None => {
                return Err(format!("context `{name}` names the user `{}`, whom it has not", context.user));
            }
            Some(user) => user,
        };
        let authority =
            part(cluster.certificate_authority_data.as_deref(), cluster.certificate_authority.as_deref())?;
        let certificate = part(user.client_certificate_data.as_deref(), user.client_certificate.as_deref())?;
        let key = part(user.client_key_data.as_deref(), user.client_key.as_deref())?;
        let identity = certificate.zip(key).map(|(mut certificate, key)| {
            certificate.push(b'\n');
            certificate.extend(key);
            certificate
        });
        let login = match (user.token_file, user.token, user.exec) {
            (Some(path), ..) => Login::File(path),
            (None, Some(token), _) => Login::Token(token),
            (None, None, Some(exec)) => Login::exec(exec),
            (None, None, None) if user.auth_provider.is_some() || user.username.is_some() => {
                let advice = "use a token, a certificate, or `exec`";
                return Err(format!(
                    "user `{}` logs in by a way that Kubernetes itself has given up: {advice}",
                    context.user
                ));
            }
            (None, None, None) => Login::None,
        };
        Ok(Access {
            server: cluster.server.trim_end_matches('/').to_owned(),
            namespace: context.namespace,
            client: client(authority.as_deref(), identity.as_deref())?,
            login,
        })
    }
}

fn client(authority: Option<&[u8]>, identity: Option<&[u8]>) -> Result<Client, String> {
    let mut builder = web::client();
    if let Some(pem) = authority {
        let certificates = Certificate::from_pem_bundle(pem);
        let certificates =
            certificates.map_err(|e| format!("the authority's certificate is wrong: {}", web::why(e)))?;
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(pem) = identity {
        let identity = Identity::from_pem(pem);
        builder = builder
            .identity(identity.map_err(|e| format!("the user's certificate is wrong: {}", web::why(e)))?);
    }
    builder.build().map_err(|error| format!("cannot make a client of Kubernetes: {}", web::why(error)))
}

/// What stands in the kubeconfig itself, or in a file that it names.
fn part(data: Option<&str>, path: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    match (data, path) {
        (Some(data), _) => {
            let bytes = STANDARD.decode(data.trim());
            bytes.map(Some).map_err(|error| format!("a certificate or key in it is not base64: {error}"))
        }
        (None, Some(path)) => read(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_that_leads_nowhere_says_at_which_turn() {
        let dir = tempfile::tempdir().unwrap();
        for (text, context, expected) in [
            (
                "{contexts: [{name: a, context: {cluster: c, user: u}}]}",
                None,
                "no current context: write `kubernetes.context`, one of a",
            ),
            (
                "{current-context: b, contexts: [{name: a, context: {cluster: c, user: u}}]}",
                None,
                "no context `b`: there are a",
            ),
            ("{contexts: [{name: a, context: {cluster: c, user: u}}]}", Some("a"), "names the cluster `c`"),
            (
                "{contexts: [{name: a, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: 'http://h'}}]}",
                Some("a"),
                "names the user `u`",
            ),
            (
                "{contexts: [{name: a, context: {cluster: c}}], clusters: [{name: c, cluster: {server: 'http://h', certificate-authority: none.crt}}]}",
                Some("a"),
                "none.crt",
            ),
            (
                "{contexts: [{name: a, context: {cluster: c}}], clusters: [{name: c, cluster: {server: 'http://h', insecure-skip-tls-verify: true}}]}",
                Some("a"),
                "is not followed",
            ),
            ("[", None, "is no kubeconfig"),
        ] {
            let path = dir.path().join("config");
            std::fs::write(&path, text).unwrap();
            let error = Access::of_files(&[path], context).err().unwrap();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn of_several_kubeconfigs_the_first_that_says_something_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let a = write("a", "{current-context: x, users: [{name: u, user: {token: secret}}]}");
        let b = write(
            "b",
            "{current-context: y, contexts: [{name: x, context: {cluster: c, user: u, namespace: n}}], clusters: [{name: c, cluster: {server: 'http://h:1/'}}]}",
        );
        let access = Access::of_files(&[a, b], None).ok().unwrap();
        assert_eq!((access.server.as_str(), access.namespace.as_deref()), ("http://h:1", Some("n")));
        assert!(matches!(access.login, Login::Token(token) if token == "secret"));
    }
}
