import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.core.StandardContext;
import org.apache.catalina.startup.Tomcat;

/**
 * Servlets on Tomcat: with its defaults; with a connector that decodes what it
 * refuses by default; with a filter that takes the method from a parameter; and one
 * servlet that routes by itself.
 */
public class Site {
    private static final Logger QUIET = Logger.getLogger("");

    /** Notes that a sensitive handler ran, and for which request. */
    private static void ran(String handler, HttpServletRequest req, HttpServletResponse res) throws IOException {
        String spelling = req.getHeader("Spelling");
        Files.writeString(Path.of(System.getenv("RUNS")), handler + " " + (spelling == null ? "-" : spelling) + "\n",
            StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        res.setContentType("text/plain");
        res.getWriter().write("ran " + handler + "\n");
    }

    private static void other(HttpServletRequest req, HttpServletResponse res) throws IOException {
        res.setContentType("text/plain");
        String query = req.getQueryString();
        res.getWriter().write("open " + req.getRequestURI() + (query == null ? "" : "?" + query) + "\n");
    }

    /** Answers what is mapped to a sensitive path, if the rest of the path and the method fit. */
    private static HttpServlet servlet(String handler, String method, String rest, boolean filter) {
        return new HttpServlet() {
            @Override
            protected void service(HttpServletRequest req, HttpServletResponse res) throws IOException {
                String info = req.getPathInfo() == null ? "" : req.getPathInfo();
                String asked = method(req, filter);
                boolean fits = asked.equals(method) || method.equals("GET") && asked.equals("HEAD");
                if (fits && info.matches(rest)) {
                    ran(handler, req, res);
                } else {
                    other(req, res);
                }
            }
        };
    }

    /**
     * The method of a request. With the filter, that of a POST is what its parameter _method says,
     * as Spring's HiddenHttpMethodFilter has it.
     */
    private static String method(HttpServletRequest req, boolean filter) {
        String claimed = filter && req.getMethod().equals("POST") ? req.getParameter("_method") : null;
        return claimed == null || claimed.isEmpty() ? req.getMethod() : claimed.toUpperCase(Locale.ENGLISH);
    }

    /**
     * A front servlet that reads the request's own URI as the older versions of Spring do: without
     * ";…", decoded, with single slashes, and with any format or slash at the end.
     */
    private static final HttpServlet FRONT = new HttpServlet() {
        @Override
        protected void service(HttpServletRequest req, HttpServletResponse res) throws IOException {
            String path;
            try {
                path = URLDecoder.decode(req.getRequestURI().replaceAll(";[^/]*", ""), StandardCharsets.UTF_8);
            } catch (IllegalArgumentException e) {
                other(req, res);
                return;
            }
            path = path.replaceAll("/+", "/").replaceAll("(.)\\.[A-Za-z]+$", "$1").replaceAll("(.)/$", "$1");
            String method = req.getMethod();
            if (path.equals("/wallet/withdraw") && method.equals("POST")) {
                ran("withdraw", req, res);
            } else if (path.equals("/account/export") && (method.equals("GET") || method.equals("HEAD"))) {
                ran("export", req, res);
            } else if (path.equals("/account/phone") && method.equals("PUT")) {
                ran("phone", req, res);
            } else if (path.matches("/api/users/[^/]+/transfer") && method.equals("POST")) {
                ran("transfer", req, res);
            } else {
                other(req, res);
            }
        }
    };

    private static void add(Context context, String name, HttpServlet servlet, String... patterns) {
        Tomcat.addServlet(context, name, servlet);
        for (String pattern : patterns) {
            context.addServletMappingDecoded(pattern, name);
        }
    }

    private static void start(String variant, Path base) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory(base, variant).toString());
        Connector connector = new Connector();
        connector.setPort(0);
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("maxThreads", "8");
        boolean lenient = variant.equals("tomcat-lenient");
        boolean filter = variant.equals("tomcat-method-filter");
        if (lenient) {
            connector.setEncodedSolidusHandling("decode");
            connector.setEncodedReverseSolidusHandling("decode");
            connector.setAllowBackslash(true);
            connector.setProperty("relaxedPathChars", "\"<>[\\]^`{|}");
        }
        tomcat.setConnector(connector);

        Context context = tomcat.addContext("", null);
        ((StandardContext) context).setClearReferencesRmiTargets(false);
        add(context, "withdraw", servlet("withdraw", "POST", "/withdraw/?", filter), "/wallet/*");
        if (variant.equals("tomcat-request-uri")) {
            add(context, "front", FRONT, "/*");
            tomcat.start();
            listening(variant, connector);
            return;
        }
        if (lenient) {
            add(context, "export", servlet("export", "GET", "(/.*)?", filter), "/account/export/*");
            add(context, "action", new HttpServlet() {
                @Override
                protected void service(HttpServletRequest req, HttpServletResponse res) throws IOException {
                    if (req.getMethod().equals("PUT") && req.getServletPath().equals("/account/phone.action")) {
                        ran("phone", req, res);
                    } else {
                        other(req, res);
                    }
                }
            }, "*.action");
        } else {
            add(context, "export", servlet("export", "GET", "", filter), "/account/export");
        }
        add(context, "phone", servlet("phone", "PUT", "", filter), "/account/phone");
        add(context, "transfer", servlet("transfer", "POST", "/users/[^/]+/transfer", filter), "/api/*");
        add(context, "other", new HttpServlet() {
            @Override
            protected void service(HttpServletRequest req, HttpServletResponse res) throws IOException {
                other(req, res);
            }
        }, "/");
        tomcat.start();
        listening(variant, connector);
    }

    private static void listening(String variant, Connector connector) {
        System.out.println("listening " + variant + " 127.0.0.1:" + connector.getLocalPort());
    }

    public static void main(String[] args) throws Exception {
        QUIET.setLevel(Level.OFF);
        for (String variant : new String[] {"tomcat", "tomcat-lenient", "tomcat-method-filter", "tomcat-request-uri"}) {
            start(variant, Path.of(args[0]));
        }
        Thread.currentThread().join();
    }
}
