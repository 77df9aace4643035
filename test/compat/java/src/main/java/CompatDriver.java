/*
 * Apache Kafka's Java client for the compatibility tests: the protocol of lines is drawn in support/driver.ts.
 */
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class CompatDriver {
  private static final Gson GSON = new GsonBuilder().serializeNulls().create();
  private static final Duration POLL = Duration.ofMillis(100);
  private static final long READ_MS_MAX = 30_000;

  private final String bootstrap;
  private final String protocol;
  private final Map<String, KafkaProducer<String, String>> producers = new HashMap<>();
  private Admin admin;
  private KafkaConsumer<String, String> member;
  private final ArrayDeque<ConsumerRecord<String, String>> waiting = new ArrayDeque<>();
  private final Map<TopicPartition, OffsetAndMetadata> taken = new HashMap<>();

  private CompatDriver(JsonObject settings) {
    List<String> brokers = new ArrayList<>();
    settings.getAsJsonArray("bootstrap").forEach(each -> brokers.add(each.getAsString()));
    bootstrap = String.join(",", brokers);
    protocol = settings.get("protocol").getAsString();
  }

  public static void main(String[] args) throws Exception {
    CompatDriver driver = new CompatDriver(JsonParser.parseString(args[0]).getAsJsonObject());
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      JsonObject answer = new JsonObject();
      try {
        answer.add("value", GSON.toJsonTree(driver.run(JsonParser.parseString(line).getAsJsonObject())));
      } catch (Exception exception) {
        answer.addProperty("error", exception.toString());
      }
      System.out.println(GSON.toJson(answer));
    }
    driver.close();
  }

  private Object run(JsonObject command) throws Exception {
    String topic = command.has("topic") ? command.get("topic").getAsString() : null;
    switch (command.get("do").getAsString()) {
      case "connect":
        List<Integer> ids = admin().describeCluster().nodes().get().stream().map(Node::id).toList();
        return Map.of("version", version(), "brokers", ids);
      case "create_topic":
        short replicas = command.get("replicas").getAsShort();
        admin().createTopics(List.of(new NewTopic(topic, command.get("partitions").getAsInt(), replicas))).all().get();
        return null;
      case "describe_topic":
        try {
          return admin().describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
        } catch (ExecutionException exception) {
          if (exception.getCause() instanceof UnknownTopicOrPartitionException) return null;
          throw exception;
        }
      case "delete_topic":
        admin().deleteTopics(List.of(topic)).all().get();
        return null;
      case "produce":
        return produce(topic, command);
      case "read":
        return read(new TopicPartition(topic, command.get("partition").getAsInt()), command);
      case "join":
        member = consumer(command.get("group").getAsString());
        member.subscribe(List.of(topic));
        return null;
      case "owned":
        poll(() -> member.assignment().size() == command.get("count").getAsInt(), command.get("ms").getAsLong());
        return member.assignment().stream().map(TopicPartition::partition).toList();
      case "take":
        return take(command.get("count").getAsInt(), command.get("ms").getAsLong());
      case "commit":
        member.commitSync(taken);
        return null;
      case "leave":
        member.close();
        member = null;
        taken.clear();
        return null;
      default:
        throw new IllegalArgumentException("no such command: " + command);
    }
  }

  private List<Long> produce(String topic, JsonObject command) throws InterruptedException {
    String codec = command.get("codec").getAsString();
    boolean isIdempotent = command.get("idempotent").getAsBoolean();
    KafkaProducer<String, String> producer = producers.computeIfAbsent(codec + isIdempotent, key -> {
      Map<String, Object> config = new HashMap<>();
      config.put("bootstrap.servers", bootstrap);
      config.put("acks", "all");
      config.put("compression.type", codec);
      config.put("enable.idempotence", isIdempotent);
      return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    });
    List<Future<RecordMetadata>> sends = new ArrayList<>();
    for (var each : command.getAsJsonArray("records")) {
      JsonObject record = each.getAsJsonObject();
      int partition = record.get("partition").getAsInt();
      sends.add(producer.send(new ProducerRecord<>(topic, partition, null, record.get("value").getAsString())));
    }
    producer.flush();
    List<Long> offsets = new ArrayList<>();
    for (Future<RecordMetadata> send : sends) {
      try {
        offsets.add(send.get().offset());
      } catch (ExecutionException exception) {
        System.err.println(exception.getCause());
        offsets.add(null);
      }
    }
    return offsets;
  }

  private List<Map<String, Object>> read(TopicPartition partition, JsonObject command) {
    JsonObject from = command.getAsJsonObject("from");
    int count = command.get("count").getAsInt();
    List<Map<String, Object>> records = new ArrayList<>();
    try (KafkaConsumer<String, String> consumer = consumer(null)) {
      consumer.assign(List.of(partition));
      long offset = from.has("offset")
          ? from.get("offset").getAsLong()
          : consumer.offsetsForTimes(Map.of(partition, from.get("time").getAsLong())).get(partition).offset();
      consumer.seek(partition, offset);
      long end = System.nanoTime() + READ_MS_MAX * 1_000_000;
      while (records.size() < count && System.nanoTime() < end) {
        for (ConsumerRecord<String, String> record : consumer.poll(POLL))
          if (records.size() < count) records.add(toMap(record));
      }
    }
    return records;
  }

  private List<Map<String, Object>> take(int count, long ms) {
    poll(() -> waiting.size() >= count, ms);
    List<Map<String, Object>> records = new ArrayList<>();
    while (records.size() < count && !waiting.isEmpty()) {
      ConsumerRecord<String, String> record = waiting.remove();
      taken.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
      records.add(toMap(record));
    }
    return records;
  }

  /** Polls until something holds, at most `ms`. */
  private void poll(BooleanSupplier until, long ms) {
    long end = System.nanoTime() + ms * 1_000_000;
    while (!until.getAsBoolean() && System.nanoTime() < end) member.poll(POLL).forEach(waiting::add);
  }

  private KafkaConsumer<String, String> consumer(String group) {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", bootstrap);
    config.put("enable.auto.commit", false);
    config.put("auto.offset.reset", "earliest");
    if (group != null) {
      config.put("group.id", group);
      config.put("group.protocol", protocol);
      if (protocol.equals("classic")) {
        config.put("heartbeat.interval.ms", 500);
        config.put("session.timeout.ms", 10_000);
      }
    }
    return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
  }

  private Admin admin() {
    if (admin == null) admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    return admin;
  }

  private static Map<String, Object> toMap(ConsumerRecord<String, String> record) {
    return Map.of("partition", record.partition(), "offset", record.offset(), "value", record.value());
  }

  private static String version() throws IOException {
    Properties properties = new Properties();
    try (InputStream stream = Admin.class.getResourceAsStream("/kafka/kafka-version.properties")) {
      properties.load(stream);
    }
    return properties.getProperty("version");
  }

  private void close() {
    if (member != null) member.close();
    producers.values().forEach(KafkaProducer::close);
    if (admin != null) admin.close();
  }
}
