/**
 * What a load balancer tells of a connection.
 *
 * @module
 */

/**
 * What a PROXY header of version 2 carries besides the addresses. Each text is
 * there if the balancer sent it, as UTF-8.
 */
export interface ProxyInfo {
  /** The name that the client asked for, for example by TLS (SNI). */
  authority?: string;
  /** The protocol that client and balancer agreed on, for example `"h2"`. */
  alpn?: string;
  /** The balancer's number of the connection, to be found in its log. */
  uniqueId?: string;
  /** The client's TLS with the balancer; absent if it used none. */
  tls?: ProxyTls;
}

/** The client's TLS with the balancer. */
export interface ProxyTls {
  /** The version, for example `"TLSv1.3"`. */
  version?: string;
  /** The cipher. */
  cipher?: string;
  /** The common name in the client's certificate. */
  commonName?: string;
  /** Whether the client showed a certificate that the balancer verified. */
  isVerified: boolean;
}
